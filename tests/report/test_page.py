import json
from html.parser import HTMLParser

import pytest
from msgspec.structs import replace

from benchmarks.contrasts import Contrast
from benchmarks.plan import plan
from qkd.marks import marks
from qkd.spec import Bits, Method
from report.build import build, collect
from report.page.files import summary_csv
from tests.support.report_records import (
    FP,
    FP_TUNED,
    KD,
    QAT,
    QKD,
    SS_CS,
    cell_of,
    line,
    matrix,
    record_of,
    renamed,
    write_done,
    write_failed,
    write_matrix,
    write_run,
)

ATTACK = "<script>alert('x')</script>"
VOID = {"meta", "link", "br", "img", "input"}


class Checker(HTMLParser):
    """Collects ids, links and scripts; fails where tags do not close in order."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.links, self.scripts, self.addresses = [], [], [], 0, []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if tag not in VOID:
            self.open.append(tag)
        if "id" in values:
            self.ids.append(values["id"])
        self.scripts += tag == "script"
        self.links += [values["href"]] if "href" in values else []
        self.addresses += [values[key] for key in ("src", "data", "srcset") if key in values]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.handle_endtag(tag)


def built(tmp_path, reference=None):
    page = tmp_path / "out" / "index.html"
    build(tmp_path / "results", page, reference or tmp_path / "no-reference")
    return page.read_text()


def checked(page):
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert len(checker.ids) == len(set(checker.ids))
    missing = {link for link in checker.links if link[0] == "#"} - {f"#{i}" for i in checker.ids}
    assert missing == set()
    assert checker.addresses == []
    return checker


@pytest.fixture
def full(tmp_path):
    toy = matrix(methods=(FP, FP_TUNED, QKD, SS_CS, KD, QAT), seeds=(0, 1, 2))
    names = {"qkd": 70.0, "ss+cs": 69.0, "kd": 68.0, "qat": 68.5, "fp-tuned": 91.0}
    bumps = {0: 0.0, 1: 0.5, 2: 0.25}
    top1s = {(m, s): v + bumps[s] * (m != "qat") for m, v in names.items() for s in bumps}
    write_run(tmp_path / "results", toy, top1s)
    return toy


def test_the_page_is_well_formed_and_needs_no_network(tmp_path, full):
    page = built(tmp_path)
    checker = checked(page)
    assert checker.scripts == 1
    outside = [link for link in checker.links if "://" in link]
    assert outside == ["https://arxiv.org/abs/1911.12491"]
    assert "@import" not in page
    assert "url(http" not in page
    assert page.count("<h1") == 1


def test_every_link_to_a_record_leads_to_it(tmp_path, full):
    links = {link for link in checked(built(tmp_path)).links if link.startswith("../results/")}
    assert len(links) == len(plan(full.cells()).stages)
    assert all((tmp_path / "out" / link).is_dir() for link in links)


def test_what_the_page_says(tmp_path, full):
    page = built(tmp_path)
    for text in (
        "QKD is higher than plain QAT by 1.75 points [1.13, 2.37]",
        "QKD is higher than SS+CS by 1.00 points [0.43, 1.57]",
        "4 contrasts were fixed before any run",
        "Smoke scale: few images",
        "the paper predicts a negative difference",
        "one may exclude 0 where Holm's p decides nothing".replace("'", "&#39;"),
        '<th scope="col" class="number">corrected</th>',
        "16: 16 done",
        "SS 3, CS 10, TU 7",
        "90.00 \N{RIGHTWARDS ARROW} 91.00",
        "make run MATRIX=path/to/toy.py SCALE=smoke ONLY=&#39;bits=w2a2 method=qkd&#39; SEEDS=2",
        "co-study, 10 steps, the teacher learns too",
        cell_of(full, "qkd", 2).history.digest,
    ):
        assert text in page.replace("\N{NO-BREAK SPACE}", " "), text
    # Contrasts of methods that the matrix does not have are not asked.
    before, _, after = page.partition('<pre id="analysis">')
    assert "qat-cost" in after.partition("</pre>")[0]
    own = before + after.partition("</pre>")[2]
    assert "SS+TU" not in own
    assert "qat-cost" not in own
    assert ">None<" not in page
    assert all(mark.reason.split("'")[0] in page for mark in marks())


def test_nothing_has_run(tmp_path):
    page = built(tmp_path)
    checked(page)
    assert "Nothing has run yet." in page
    assert "make ablation" in page
    csvs = [(tmp_path / "out" / name).read_text() for name in ("cells.csv", "summary.csv")]
    assert [len(text.splitlines()) for text in csvs] == [1, 1]


def test_a_matrix_of_which_nothing_is_done(tmp_path):
    write_matrix(tmp_path / "results", matrix())
    page = built(tmp_path)
    checked(page)
    assert "4: 4 missing" in page
    assert "QKD against plain QAT: not run." in page


def test_a_single_seed(tmp_path):
    write_run(tmp_path / "results", matrix(seeds=(4,)), {("qkd", 4): 70.0, ("qat", 4): 69.0})
    page = built(tmp_path)
    checked(page)
    assert "QKD is higher than plain QAT by 1.00 points in a single run: undecided." in page


def test_several_bits_stand_apart_from_each_other_and_from_full_precision(tmp_path):
    bits = (Bits(weight=2, activation=2), Bits(weight=4, activation=4))
    toy = matrix(methods=(FP, QKD, QAT), bits=bits, seeds=(0, 1))
    write_run(tmp_path / "results", toy, {(m, s): 70.0 for m in ("qkd", "qat") for s in (0, 1)})
    page = built(tmp_path)
    checked(page)
    for label in ("full precision", "W2A2", "W4A4"):
        assert f"resnet8-width4 &lt;- resnet14-width4 on toy, {label}" in page


def test_bits_that_differ_only_at_the_edge_are_not_taken_together(tmp_path):
    bits = (Bits(weight=2, activation=2), Bits(weight=2, activation=2, edge=4))
    toy = matrix(methods=(QAT,), bits=bits, seeds=(0, 1))
    write_matrix(tmp_path / "results", toy)
    for planned in plan(toy.cells()).stages.values():
        quantization = planned.stage.history.student.quantization
        top1 = 90.0 if quantization is None else 60.0 + quantization.bits.edge
        write_done(tmp_path / "results", planned.stage, top1)
    report = collect(tmp_path / "results", tmp_path / "no-reference")
    (section,) = report.sections
    methods = section.methods.set_index("bits")["top1s"]
    found = {bits: list(top1s.values()) for bits, top1s in methods.items()}
    assert found == {bits[0].label: [68.0, 68.0], bits[1].label: [64.0, 64.0]}
    assert summary_csv(report.sections).count(b",qat,done,") == 2
    assert checked(built(tmp_path)).ids.count("toy-smoke") == 1
    assert built(tmp_path).count('aria-label="Methods"') == 2


@pytest.mark.parametrize(
    ("dirty", "words"),
    [
        (None, "(local changes unknown)"),
        (True, "(with local changes)"),
        (False, "commit 123456789abc</p>"),
    ],
)
def test_what_is_known_of_local_changes_is_said(tmp_path, dirty, words):
    toy = matrix(methods=(QAT,), seeds=(0,))
    write_run(tmp_path / "results", toy, {("qat", 0): 70.0})
    stage = plan(toy.cells()).stages[cell_of(toy, "qat").history.digest].stage
    write_done(tmp_path / "results", stage, 70.0, commit="123456789abcdef", dirty=dirty)
    page = built(tmp_path)
    assert words in page
    assert 'class="state unreadable"' not in page


def test_nothing_that_a_record_says_is_taken_for_markup(tmp_path):
    noted = Method(name="qat", shares=QAT.shares, note=ATTACK)
    toy = matrix(methods=(QKD, noted), seeds=(0, 1))
    toy = renamed(toy, title=ATTACK, question=ATTACK, cost=ATTACK, deviations=(ATTACK,))
    toy = replace(toy, contrasts=(Contrast(first="qkd", second="qat", asks=ATTACK),))
    write_run(tmp_path / "results", toy, {("qkd", 0): 70.0, ("qat", 0): 69.0, ("qat", 1): 69.5})
    stages = {p.digest: p.stage for p in plan(toy.cells()).stages.values()}
    write_failed(tmp_path / "results", stages[cell_of(toy, "qkd", 1).history.digest], ATTACK)
    names = dict.fromkeys(("torch", "device", "device_name", "host", "commit"), ATTACK)
    record = write_done(
        tmp_path / "results", stages[cell_of(toy, "qat").history.digest], 69.0, **names
    )
    record.metrics_file.write_text(
        json.dumps(line(20, ATTACK, 69.0, trains=False) | {"losses": {ATTACK: 1.0, "$x$]]>": 2.0}})
    )
    damaged = record_of(tmp_path / "results", cell_of(toy, "qat", 1).history)
    damaged.stage_file.write_text(json.dumps({ATTACK: 1}))
    (tmp_path / "results" / "matrices" / f"{ATTACK[:8]}.json").write_text("{}")
    page = built(tmp_path)
    assert checked(page).scripts == 1
    assert ATTACK not in page
    assert page.count("&lt;script&gt;alert(&#39;x&#39;)") >= 9


def test_two_matrices_that_share_a_stage_have_each_their_permalink(tmp_path):
    for name in ("one", "two"):
        toy = matrix(methods=(QAT,), seeds=(0,), name=name)
        write_run(tmp_path / "results", toy, {("qat", 0): 70.0})
    digest = cell_of(toy, "qat").history.digest
    ids = checked(built(tmp_path)).ids
    assert digest in ids
    assert f"two-smoke-{digest}" in ids
