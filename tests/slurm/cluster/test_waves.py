"""The stages of a matrix as arrays of jobs, each element tied to its parents'."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.ablation import matrix
from benchmarks.plan import plan
from slurm.cluster.profiles import Profile, Resources
from slurm.cluster.units import Unit, units
from slurm.cluster.waves import waves

SEEDS = tuple(range(3))
PLAN = plan(list(matrix("laptop", SEEDS).cells()))
EVERY = list(PLAN.stages)
RESOURCES = Profile().resources


def without_done(done):
    """What is left to do where these stages, and all that they go on from, are done."""
    finished = set()

    def finish(key):
        finished.add(key)
        for parent in PLAN.stages[key].parents:
            finish(parent)

    for key in done:
        finish(key)
    return [key for key in EVERY if key not in finished]


def awaited(made, number, index):
    """The stages whose success the element's dependencies promise."""
    wave = made[number]
    found = set()
    for other in wave.tied:
        found.update(made[other].units[index].stages)
    for other, element in wave.after:
        found.update(made[other].units[element].stages)
    for other in wave.whole:
        found.update(key for unit in made[other].units for key in unit.stages)
    return found


@given(
    done=st.sets(st.sampled_from(EVERY), max_size=12),
    pack=st.integers(1, 7),
    longest=st.integers(1, 12),
)
def test_every_stage_is_in_one_job_that_waits_for_its_parents_and_for_no_other_job(
    done, pack, longest
):
    todo = without_done(done)
    made = waves(PLAN, units(PLAN, todo, RESOURCES, pack), {}, longest)
    assert sorted(k for w in made for u in w.units for k in u.stages) == sorted(todo)
    job_of = {k: u for w in made for u in w.units for k in u.stages}
    for number, wave in enumerate(made):
        assert 1 <= len(wave.units) <= longest
        assert all(other < number for other in (*wave.tied, *wave.whole))
        assert all(other < number for other, _ in wave.after)
        assert all(len(made[other].units) == len(wave.units) for other in wave.tied)
        assert not wave.whole
        for index, unit in enumerate(wave.units):
            assert len(unit.stages) <= pack
            needed = set()
            for place, key in enumerate(unit.stages):
                for parent in PLAN.stages[key].parents:
                    if parent in unit.stages:
                        assert unit.stages.index(parent) < place
                    elif parent in job_of:
                        needed.update(job_of[parent].stages)
            assert awaited(made, number, index) == needed


@given(st.data())
def test_whatever_waits_for_what_no_job_can_start_before_those_that_it_waits_for(data):
    above = [
        sorted(data.draw(st.sets(st.integers(0, number - 1), max_size=3))) if number else []
        for number in range(data.draw(st.integers(1, len(EVERY))))
    ]
    made = waves(
        PLAN,
        [
            Unit((EVERY[number],), Resources(), tuple(EVERY[place] for place in some))
            for number, some in enumerate(above)
        ],
        {},
        data.draw(st.integers(1, 5)),
    )
    for number, wave in enumerate(made):
        assert all(other < number for other in (*wave.tied, *wave.whole))
        for index, unit in enumerate(wave.units):
            assert set(unit.waits_for) <= awaited(made, number, index)


def test_a_whole_matrix_is_an_array_for_each_phase_of_a_method_over_bits_and_seeds():
    made = waves(PLAN, units(PLAN, EVERY, RESOURCES), {}, 1000)
    assert len(made) < 20
    assert {len(wave.units) for wave in made} <= {1, 3, 6}
    again = plan(list(matrix("laptop", tuple(range(20))).cells()))
    many = waves(again, units(again, list(again.stages), RESOURCES), {}, 1000)
    assert [wave.label for wave in many] == [wave.label for wave in made]


def test_an_array_longer_than_the_cluster_takes_is_cut_where_its_parents_are():
    whole = waves(PLAN, units(PLAN, EVERY, RESOURCES), {}, 1000)
    cut = waves(PLAN, units(PLAN, EVERY, RESOURCES), {}, 2)
    assert len(cut) > len(whole)
    for wave in cut:
        for other in wave.tied:
            ours = [PLAN.stages[unit.stages[0]] for unit in wave.units]
            theirs = [unit.stages[0] for unit in cut[other].units]
            assert all(key in one.parents for key, one in zip(theirs, ours, strict=True))


def test_jobs_in_the_queue_are_waited_for_by_their_ids():
    roots = [key for key in EVERY if not PLAN.stages[key].parents]
    queued = {key: f"7{number}" for number, key in enumerate(roots)}
    todo = [key for key in EVERY if key not in queued]
    made = waves(PLAN, units(PLAN, todo, RESOURCES), queued, 1000)
    for wave in made:
        for unit in wave.units:
            parents = {p for key in unit.stages for p in PLAN.stages[key].parents}
            assert set(wave.queued) == {queued[p] for p in parents & set(queued)}


def test_a_pack_walks_a_branch_and_small_branches_share_one():
    roots = [key for key in EVERY if not PLAN.stages[key].parents]
    packed = units(PLAN, EVERY, RESOURCES, pack=100)
    assert len(packed) < len(units(PLAN, EVERY, RESOURCES, pack=4)) < len(EVERY)
    together = next(unit for unit in packed if roots[0] in unit.stages)
    assert set(roots) <= set(together.stages)


@pytest.mark.parametrize("pack", [1, 5])
def test_stages_that_ask_for_other_resources_are_in_no_unit_and_no_array_together(pack):
    def of(stage):
        return Resources(hours=1 + stage.history.seed, gpus=stage.label == "co-study")

    made = waves(PLAN, units(PLAN, EVERY, of, pack), {}, 1000)
    for wave in made:
        for unit in wave.units:
            assert {of(PLAN.stages[key].stage) for key in unit.stages} == {wave.resources}
