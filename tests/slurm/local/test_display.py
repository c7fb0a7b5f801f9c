"""What a launch says of the time that is left."""

import pytest

from benchmarks import ablation
from benchmarks.plan import plan
from qkd.records.record import Store
from qkd.training.loop import Progress
from slurm.local import display
from slurm.local.executor import Event
from slurm.local.schedule import Schedule
from slurm.planning.statuses import Status


@pytest.mark.parametrize(
    ("first", "now"), [(0.0, 0.5), (0.5, 0.75)], ids=["begun here", "begun by an earlier launch"]
)
def test_the_time_left_is_by_what_this_launch_has_done(tmp_path, monkeypatch, first, now):
    """A stage does as much in the first 100 seconds as is left of it then: 100 more."""
    seconds = 0.0
    monkeypatch.setattr(display.time, "monotonic", lambda: seconds)
    cells = [cell for cell in ablation.matrix("laptop", (0,)).cells() if cell.method.name == "qat"]
    planned = plan(cells)
    (trained,) = (one for one in planned.stages.values() if one.parents)
    shown = display.Display(planned, jobs=1, speed=None)
    schedule = Schedule(planned, Store(tmp_path), executor=None, listen=shown.listen)
    schedule.status.update(dict.fromkeys(trained.parents, Status.DONE))
    shown.watch(schedule)
    seconds = 100.0
    steps = trained.stage.steps
    digest = trained.stage.history.digest
    progress = Progress(digest, int(now * steps), steps, 1.0, None, first=int(first * steps))
    shown.listen(Event("progress", digest, progress))
    assert shown._seconds_left() == pytest.approx(100.0)
