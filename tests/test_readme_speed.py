"""What READMEs say of the Intel, and of exported students there, is what was measured."""

import json
import re

from benchmarks.speed.steps import GOALS
from tests.support.launching import ROOT
from tests.support.readmes import RESULTS, SPEED, table

FILE = ROOT / "results" / "speed" / "intel-r-xeon-r-processor-2-cores.json"
NETWORKS = ("ResNet-20", "ResNet-18", "MobileNetV2")
ROWS = {  # title: (group's beginning, names' beginnings)
    "a quantized step": ("quantized step", [f"{name}, interval" for name in NETWORKS]),
    "plain KD": ("phases", ["plain KD"]),
    "photos": ("photos", ["tree", "tar", "parquet"]),
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
    (step,) = [row for row in shown.index if row.startswith("a quantized step")]
    assert shown.loc[step, "goal"] == ", ".join(f"{GOALS[name]:.2f}" for name in NETWORKS)


def test_the_table_of_exported_students_is_that_of_its_file():
    file = ROOT / "results" / "export" / FILE.name
    found = {
        (one["form"], one["bits"], one["consumer"].partition(",")[0], one["network"]): one["ratio"]
        for one in json.loads(file.read_bytes())["latencies"]
    }
    shown = table(RESULTS, "form, program")
    for row, cells in shown.iterrows():
        form, bits, program = re.fullmatch(r"(\S+) at (\w+), (\w+)( in f32)?", row).groups()[:3]
        for network, ratio in cells.items():
            assert ratio == f"{found[form, bits, program, network]:.2f}", (row, network)
    lowest, highest = shown.loc["onnx at W2A2, OpenVINO in f32"], shown.filter(like="W8", axis=0)
    assert (highest.astype(float).iloc[0] - lowest.astype(float)).abs().max() < 0.05


def test_what_is_said_of_the_laptops_students_is_what_was_tried():
    files = sorted((ROOT / "results" / "export").glob("resnet8*/export.json"))
    assert len(files) == 5
    defaults = []
    for file in files:
        told = json.loads(file.read_bytes())
        assert told["images"] == 10_000
        for trial in told["trials"]:
            if trial["consumer"] == "OpenVINO, default":
                defaults.append(trial["agreement"])
            elif trial["images"]:
                assert trial["agreement"] >= 0.9999, (file, trial)
    assert (round(100 * min(defaults)), round(100 * max(defaults))) == (94, 97)
