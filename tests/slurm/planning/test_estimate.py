"""How long a plan takes, by the speed that records show."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from benchmarks import ablation, tuning
from benchmarks.plan import plan
from qkd.records.record import store_of
from qkd.records.schema import Result
from qkd.spec import NUMERICS
from slurm.planning.estimate import size_in_words, speed_of

PLAN = plan(ablation.matrix("smoke", (0,)).cells())


@pytest.mark.parametrize(
    "unread", ["{", "[]", '{"seconds": "9"}', '{"seconds": NaN}', '{"steps": 9}', ""]
)
def test_the_speed_is_that_of_all_records_that_say_their_seconds(
    tmp_path: Path, unread: str
) -> None:
    starts = [planned for planned in PLAN.stages.values() if not planned.parents]
    first, second, third, fourth = [p for p in PLAN.stages.values() if p.parents][:4]
    texts = [
        (starts[0], '{"seconds": 1000.0}'),  # a pre-training is another kind of step
        (first, '{"seconds": 2, "last": {"top1": 90.5}}'),
        (second, '{"seconds": 4.0}'),
        (third, unread),
    ]
    for planned, text in texts:
        record = store_of(tmp_path).record_to_write(planned.stage.history)
        record.path.mkdir(parents=True)
        record.result_file.write_text(text)
    store_of(tmp_path).record(fourth.stage.history).path.mkdir()
    speed = speed_of(PLAN, store_of(tmp_path))
    assert speed is not None
    assert speed.source == "your records"
    assert speed.macs_per_second == pytest.approx((first.macs + second.macs) / 6)


def test_without_records_of_ones_own_any_committed_run_s_are_taken(tmp_path: Path) -> None:
    for matrix in (ablation.matrix("laptop", (0,)), tuning.matrix("laptop", (100,))):
        planned = plan(replace(matrix, numerics=NUMERICS).cells())
        speed = speed_of(planned, store_of(tmp_path))
        assert speed is not None
        assert speed.source == "the committed reference"


def test_sizes_are_in_the_unit_that_people_would_take() -> None:
    sizes = (0, 2**20 - 1024, 2**20, int(3.4 * 2**20), 2**30, int(61.49 * 2**30))
    words = ["0 KiB", "1023 KiB", "1.0 MiB", "3.4 MiB", "1.0 GiB", "61.5 GiB"]
    assert [size_in_words(size) for size in sizes] == words


def test_the_field_that_is_read_is_one_of_a_result() -> None:
    assert "seconds" in Result.__struct_fields__
