"""What the README of speed says of the Intel is what was measured there."""

import json

from tests.support.launching import ROOT
from tests.test_readme import SPEED, table

FILE = ROOT / "results" / "speed" / "intel-r-xeon-r-processor-2-cores.json"
NETWORKS = ("ResNet-20", "ResNet-18", "MobileNetV2")
ROWS = {  # title: (group's beginning, names' beginnings)
    "a quantized step": ("quantized step", [f"{name}, interval" for name in NETWORKS]),
    "plain KD": ("phases", ["plain KD"]),
    "photos": ("photos", ["tree", "tar"]),
    "stages' wall": ("launch", [f"stages' wall / training seconds: {n}" for n in ("abl", "riv")]),
    "the same, 1,600": (
        "launch",
        [f"stages' wall / training seconds: lengths, {n}" for n in (1600, 400)],
    ),
    "since 0d5e983: import": ("since", ["import"]),
    "since 0d5e983: integer proof": ("since", ["integer proof"]),
    "since 0d5e983, smoke scale: ablation": ("since", ["ablation, wall", "trio, wall"]),
    "since 0d5e983, smoke scale: peak": ("since", ["ablation, peak"]),
    "since 0d5e983: stages": ("since", ["ablation, stages of", "trio, stages of"]),
}


def test_the_table_of_the_intel_is_that_of_its_file():
    figures = json.loads(FILE.read_bytes())["figures"]
    shown = table(SPEED, "figure on the Intel")
    assert len(shown) == len(ROWS)
    for title, (group, names) in ROWS.items():
        ratios = [
            one["ratio"]
            for name in names
            for one in figures
            if one["group"].startswith(group) and one["name"].startswith(name)
        ]
        (row,) = [row for row in shown.index if row.startswith(title)]
        assert shown.loc[row, "ratio"] == ", ".join(f"{ratio:.2f}" for ratio in ratios), title
