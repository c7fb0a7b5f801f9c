"""Which images are right: read with care, and compared image by image."""

import base64

import numpy
import pytest

from benchmarks.contrasts import PHASES, explored
from qkd.records.schema import Accuracy
from report.analysis.contrasts import SeedTest, compare_all
from tests.report.collected import only_section
from tests.report.test_csvs import collected
from tests.report.test_page import built, checked
from tests.support.report_records import (
    IMAGES,
    KD,
    QAT,
    QKD,
    cell_of,
    edit_result,
    matrix,
    write_run,
)

BYTES = IMAGES // 8


def packed(right):
    return base64.b64encode(numpy.packbits(right).tobytes()).decode()


def right(*ranges):
    """Whether each of the images is right: those of the ranges."""
    bits = numpy.zeros(IMAGES, bool)
    for begin, end in ranges:
        bits[begin:end] = True
    return bits


def write(tmp_path, rights, methods=(QKD, QAT, KD)):
    """A run in which each network has the images right that ``rights`` says, by (method, seed)."""
    toy = matrix(methods=methods, seeds=(0, 1))
    top1s = {key: 100 * bits.sum() / IMAGES for key, bits in rights.items()}
    write_run(tmp_path / "results", toy, top1s)
    for (method, seed), bits in rights.items():
        add(tmp_path, toy, method, seed, packed(bits))
    return toy


def add(tmp_path, toy, method, seed, correct):
    history = cell_of(toy, method, seed).history
    edit_result(tmp_path / "results", history, lambda r: r["student"].update(correct=correct))


def compared(tmp_path, contrasts):
    return compare_all(contrasts, only_section(tmp_path).cells, "smoke").compared


RIGHTS = {
    ("qkd", 0): right((0, 7000), (9000, 9009)),
    ("qat", 0): right((0, 7001)),
    ("qkd", 1): right((0, 7100)),
    ("qat", 1): right((0, 7100)),
}


def test_the_first_image_is_the_highest_bit():
    accuracy = Accuracy(correct1=2, images=10, top1=20.0, correct=bytes([0b10000000, 0b01000000]))
    assert accuracy.right().tolist() == [True, *[False] * 8, True]
    assert Accuracy(correct1=2, images=10, top1=20.0).right() is None


def test_mcnemar_by_seed_of_a_fixed_contrast(tmp_path):
    write(tmp_path, RIGHTS)
    (one,) = compared(tmp_path, PHASES[:1])
    # Seed 0: nine images that only the first has right, one that only the second: 2 * 11 / 2^10.
    assert one.tests == (SeedTest(0, 9, 1, pytest.approx(22 / 1024)), SeedTest(1, 0, 0, 1.0))
    (explored_one,) = compared(tmp_path, (explored("qkd", "qat", "?"),))
    assert explored_one.tests == ()


def test_a_record_without_its_images_has_no_test_of_them(tmp_path):
    toy = write(tmp_path, RIGHTS)
    add(tmp_path, toy, "qat", 0, None)
    (one,) = compared(tmp_path, PHASES[:1])
    assert [test.seed for test in one.tests] == [1]
    assert sorted(one.differences) == [0, 1]


def test_networks_on_other_numbers_of_images_are_not_compared(tmp_path):
    toy = write(tmp_path, RIGHTS)
    half = right((0, 5000))[: IMAGES // 2]
    edit_result(
        tmp_path / "results",
        cell_of(toy, "qat", 0).history,
        lambda r: r["student"].update(
            images=IMAGES // 2, correct1=5000, top1=100.0, correct=packed(half)
        ),
    )
    (one,) = compared(tmp_path, PHASES[:1])
    assert [test.seed for test in one.tests] == [1]


def test_the_page_shows_the_test_by_seed_and_the_noise_of_every_run(tmp_path):
    write(tmp_path, RIGHTS)
    page = built(tmp_path)
    checked(page)
    assert "conditional on the two trained networks of a seed" in page
    row = '<td class="number">0</td><td class="number">9</td><td class="number">1</td>'
    assert f'{row}<td class="number">0.021</td>' in page
    # Wilson's interval of 7,100 of 10,000 images
    assert '71.00 <span class="quiet">[70.10, 71.88]</span>' in page
    assert page.count(' <span class="quiet">[') == 4


def test_the_page_has_no_such_table_where_no_record_has_images(tmp_path):
    toy = matrix(methods=(QKD, QAT), seeds=(0, 1))
    write_run(tmp_path / "results", toy, {(m, s): 70.0 for m in ("qkd", "qat") for s in (0, 1)})
    page = built(tmp_path)
    assert "McNemar" not in page


HOSTILE = {
    "too short": base64.b64encode(bytes([255]) * 875).decode(),
    "too long": base64.b64encode(bytes([255]) * 875 + bytes(BYTES)).decode(),
    "other count": packed(right((0, 7001))),
    "no base64": "*" * 1668,
    "a number": 7000,
    "a list": [255] * BYTES,
    "empty": "",
}


@pytest.mark.parametrize("correct", HOSTILE.values(), ids=HOSTILE.keys())
def test_images_that_do_not_fit_the_counts_make_a_record_unreadable(tmp_path, correct):
    toy = write(tmp_path, {key: right((0, 7000)) for key in RIGHTS}, methods=(QKD, QAT))
    add(tmp_path, toy, "qat", 0, correct)
    cells, _ = collected(tmp_path)
    assert ",qat,0,unreadable," in cells
    assert ",qat,1,done,70.0000," in cells


@pytest.mark.parametrize(
    ("images", "correct", "says"),
    [
        (10, bytes([255, 255]), "a bit beyond the 10 images"),
        (10, bytes([255, 0b01000001]), "a bit beyond the 10 images"),
        (10, bytes([255, 192, 0]), "3 bytes for 10 images"),
        (16, bytes([255, 255]), "16 bits set, but 9 are right"),
    ],
)
def test_what_is_wrong_with_the_images_is_said(images, correct, says):
    with pytest.raises(ValueError, match=says):
        Accuracy(correct1=9, images=images, top1=100 * 9 / images, correct=correct)
