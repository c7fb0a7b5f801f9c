"""The size of a page, which is one file however many runs there are."""

import json
import random

import pytest
from msgspec.structs import replace

from benchmarks import ablation
from benchmarks.plan import plan
from qkd.spec import Bits
from report.build import build
from report.page.section import MOST_DRAWN
from tests.support.report_records import edit_result, matrix, record_of, write_run

MOST_BYTES = 1_667_000
LAYERS = 20  # of a ResNet-20


def write_histograms(record, draw):
    """No two bins alike, so that no figure is smaller than a real one."""
    edges = [place / 8 for place in range(-16, 17)]

    def weights(place):
        counts = [draw.randrange(1000) for _ in range(len(edges))]
        counts.append(100_000 - sum(counts))
        return {
            "layer": f"layer{place}.0.conv1",
            "counts": counts,
            "clipped": 0.25,
            "learned": {"interval": draw.random()},
        }

    moments = {moment: [weights(n) for n in range(LAYERS)] for moment in ("before", "after")}
    record.histograms_file.write_text(json.dumps({"edges": edges, **moments}))


@pytest.mark.slow
def test_nearly_three_hundred_cells_are_a_page_of_a_megabyte_and_two_thirds(tmp_path):
    methods = ablation.matrix("smoke", (0,)).grids[0].methods
    widths = tuple(Bits(weight=k, activation=k) for k in range(2, 8))
    recipe = replace(matrix().grids[0].recipe, log_every=4)
    toy = matrix(methods=methods, bits=widths, seeds=tuple(range(5)), scale="laptop", recipe=recipe)
    cells = list(toy.cells())
    assert len(cells) >= 280
    draw = random.Random(0)  # noqa: S311 (no secret)
    top1s = {(cell.method.name, cell.seed): round(70 + 5 * draw.random(), 2) for cell in cells}
    write_run(tmp_path / "results", toy, top1s)

    def deep(result):
        if "audit" in result:
            middle = result["audit"][1]
            names = [f"layer{place}.0.conv1" for place in range(LAYERS - 1)]
            result["audit"] = [result["audit"][0], *(middle | {"layer": name} for name in names)]

    for planned in plan(cells).stages.values():
        edit_result(tmp_path / "results", planned.stage.history, deep)
        write_histograms(record_of(tmp_path / "results", planned.stage.history), draw)
    build(tmp_path / "results", tmp_path / "index.html", tmp_path / "no-reference")
    page = (tmp_path / "index.html").read_text()
    assert page.count('-weights">') == MOST_DRAWN - 1  # the first setting is in full precision
    assert len(page.encode()) < MOST_BYTES
