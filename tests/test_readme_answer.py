"""The README's answer: its table, notes and sentences, computed from the committed records."""

import re

from benchmarks import cifar, cifar100
from tests.support.by_rule import bartlett, difference, judged, mean, quantized
from tests.support.fixed_settings import CIFAR10, CIFAR100, SETTINGS
from tests.support.planned import pretrained
from tests.support.readmes import README, RESULTS, flat, results_of, table

TEXT = flat(README)
NAMES = ("CIFAR-10, W2A2", "CIFAR-10, W4A4", "CIFAR-100, W2A2")
READY = {n: results_of(f"resnet{n}-fp-ready-*")[0]["student"] for n in (20, 56)}
HERE, TEACHER = (one["student"] for one in pretrained(cifar100.matrix("laptop", (0,))))
FLOATS = (READY[20], READY[20], HERE)


def test_the_table_has_a_row_for_each_setting_of_the_fixed_analysis():
    shown = table(README, "ResNet-20")
    assert tuple(shown.index) == NAMES
    for title, at, began in zip(NAMES, SETTINGS, FLOATS, strict=True):
        methods = [mean(at.found[name]) for name in ("qat", "kd", "qkd")]
        less = [difference(at.found, name) for name in ("qkd - qat", "qkd - kd")]
        assert list(shown.loc[title]) == [f"{began['top1']:.2f}", *methods, *less], title


def test_the_notes_are_true_of_seeds_spread_and_teachers():
    counts = [at.found[["qat", "kd", "qkd"]].count().unique().tolist() for at in SETTINGS]
    assert counts == [[5], [3], [5]]
    assert "mean over seeds (five, three at W4A4)" in TEXT
    assert min(bartlett(quantized(at.found)) for at in SETTINGS) >= 0.05
    assert "by the spread of all quantized methods of a row" in TEXT
    at2, at4, of100 = (f"{at.teacher_after()['top1']:.2f}" for at in SETTINGS)
    ready = f"teacher ResNet-56 ({READY[56]['top1']:.2f} %; after co-studying {at2} and {at4} %)"
    assert ready in TEXT
    assert f"teacher ResNet-32 ({TEACHER['top1']:.2f} %; after co-studying {of100} %)" in TEXT


def test_the_lengths_are_those_of_the_recipes():
    for at, passes in ((CIFAR10[2], "4.2"), (CIFAR100, "16.7")):
        (steps,) = set(at.cells[at.cells.method == "kd"].steps)
        images = 50_000 - 1_000  # that are trained on
        assert f"{steps * 128 / images:.1f}" == passes
        assert f"{steps:,} steps of 128 images ({passes} passes" in flat(RESULTS)
        assert f"{steps:,} steps" in TEXT
        share = f"{100 * steps / (200 * cifar.EPOCH):.0f} % of"
        assert share in TEXT
        assert share in flat(RESULTS)
    assert "(4.2 passes instead of 200 epochs)" in TEXT
    assert "6,400 steps (16.7 passes)" in TEXT


def points(name: str) -> str:
    """A contrast's size and the ends of its interval, without their sign."""
    mean_of, low, high = re.findall(r"-?[0-9.]+", judged(CIFAR100.found, name).text)
    ends = sorted((low.strip("-"), high.strip("-")), key=float)
    return f"{mean_of.strip('-')} points [{', '.join(ends)}]"


def test_both_readmes_lead_with_the_verdicts_on_cifar_100():
    """The sentence is put together from the verdicts; another verdict needs another sentence."""
    words = {name: CIFAR100.word(name) for name in CIFAR100.corrected}
    assert {words["qkd - kd"], words["kd - qat"]} <= {"higher", "lower"}
    faster = CIFAR100.found["qat-3x"].dropna()
    assert len(faster) == 2
    sentences = (
        f"QKD is {words['qkd - kd']} than plain KD, by {points('qkd - kd')}, and "
        f"{words['qkd - qat']} to plain QAT.",
        f"Plain KD is {words['kd - qat']} than plain QAT, by {points('kd - qat')}.",
        f"plain QAT at three times them (two seeds, no verdict) reaches {faster.mean():.2f} %, "
        f"and plain KD {CIFAR100.found['kd'].mean():.2f} %.",
    )
    for text in (TEXT, flat(RESULTS)):
        for sentence in sentences:
            assert sentence in text
