"""What the report says of bits: audits and proofs, old records, edited ones."""

import pytest

from benchmarks.contrasts import PHASES
from qkd.records.record import store_of
from qkd.spec import Bits
from report.analysis.contrasts import compare_all
from report.analysis.verdicts import NO_PROOF
from report.frames.cells import CellRow
from report.frames.layers import layers_of
from report.frames.tidy import rows
from report.page.integers import in_full, in_short, label, learned_text, of_all, whole_percent
from report.page.sentences import sentence
from report.reading.records import Records, Status
from report.texts import NO_BREAK
from tests.report.collected import only_section
from tests.report.test_csvs import PAPER, built, collected, statuses
from tests.report.test_page import ATTACK, checked
from tests.support import small
from tests.support.report_records import (
    FP,
    KD,
    QAT,
    QKD,
    cell_of,
    edit_result,
    layer,
    matrix,
    proof,
    quantizer,
    write_run,
)


@pytest.fixture
def run(tmp_path):
    """A run of a quantized and a full-precision cell; gives what edits the first one's result."""
    toy = matrix(methods=(FP, QAT), seeds=(0,))
    write_run(tmp_path / "results", toy, {("qat", 0): 70.0})
    history = cell_of(toy, "qat").history
    return lambda edit: edit_result(tmp_path / "results", history, edit)


def plain(text):
    return text.replace("\N{NO-BREAK SPACE}", " ")


def readings(tmp_path):
    return {row.method: row for row in rows(only_section(tmp_path).cells, CellRow)}


def test_a_proven_cell_in_words(tmp_path, run):
    reading = readings(tmp_path)["qat"]
    assert plain(in_short(reading)) == (
        "levels ok, clipped at most 25.0 %, integer agreement 100.00 %"
    )
    assert plain(in_full(reading)) == (
        "Run as integers, 100.00 % of 10000 test images get the class that the fake-quantized "
        "network in float64 gives them (99.98 % that of float32); top-1 70.00 %, in float64 "
        "70.00 %."
    )
    layers = list(layers_of(reading))
    assert [tuple(layer)[3:-2] for layer in layers] == [
        ("conv1", "weights", 8, True, 255, 255, 25.0),
        ("conv2", "weights", 2, True, 3, 3, 25.0),
        ("conv2", "inputs", 2, False, 3, 4, 3.125),
    ]
    assert [learned_text(layer) for layer in layers] == ["interval 0.25"] * 3
    assert reading.is_proven
    page = built(tmp_path)[0]
    checked(page)
    page = plain(page)
    assert "<p>levels ok, clipped at most 25.0 %, integer agreement 100.00 %</p>" in page
    assert '<td class="number">100.00 %</td>' in page
    assert "<th>conv2 inputs</th><td>2 unsigned</td><td>3 of 4</td>" in page
    assert "1 of 1 quantized cells that are done run as integers" in page


def test_full_precision_needs_no_proof(tmp_path, run):
    reading = readings(tmp_path)["fp"]
    assert (in_short(reading), in_full(reading), list(layers_of(reading))) == ("", "", [])
    assert reading.is_proven
    assert (
        of_all(only_section(tmp_path).cells.query("method == 'fp'")) == "no quantized cell is done"
    )


def test_an_old_record_is_readable_and_says_that_it_has_none(tmp_path, run):
    run(lambda result: [result.pop(name) for name in ("audit", "integer")])
    reading = readings(tmp_path)["qat"]
    assert in_short(reading) == "no proof recorded"
    assert (in_full(reading), list(layers_of(reading))) == ("", [])
    assert not reading.is_proven
    assert reading.top1 == 70.0
    assert (
        of_all(only_section(tmp_path).cells)
        == "0 of 1 quantized cells that are done run as integers"
    )
    assert "no proof recorded" in built(tmp_path)[0]


@pytest.mark.parametrize(("wrong", "holds"), [(0, True), (1, True), (2, False), (300, False)])
def test_the_proof_holds_from_9999_in_10000_on(tmp_path, run, wrong, holds):
    run(lambda result: result.update(integer=proof(70.0, wrong)))
    reading = readings(tmp_path)["qat"]
    assert reading.is_proven == holds
    failed = "" if holds else "proof failed, "
    agreement = f"{failed}integer agreement {100 - wrong / 100:.2f} %"
    assert plain(in_short(reading)) == f"levels ok, clipped at most 25.0 %, {agreement}"


def test_a_network_that_could_not_be_run_as_integers_says_why(tmp_path, run):
    def refuse(result):
        del result["integer"]
        result["integer_refused"] = f"NoProof: {ATTACK}"

    run(refuse)
    reading = readings(tmp_path)["qat"]
    assert plain(in_short(reading)).endswith("25.0 %, no proof")
    assert in_full(reading) == f"It could not be run as integers: NoProof: {ATTACK}"
    assert not reading.is_proven
    page = built(tmp_path)[0]
    assert checked(page).scripts == 1
    assert "alert('x')" not in page


def edited(side, **changes):
    def edit(result):
        result["audit"][1][side].update(changes)

    return edit


def integer(**changes):
    return lambda result: result["integer"].update(changes)


HAND_MADE = {
    "more levels than declared": edited("weights", levels=4),
    "more levels than bits": edited("weights", levels_declared=5),
    "one bit": edited("weights", bits=1),
    "a share over one": edited("activations", clipped=1.5),
    "a learned text": edited("weights", learned={"interval": ATTACK}),
    "no signedness": lambda result: result["audit"][1]["weights"].pop("signed"),
    "no list": lambda result: result.update(audit={"layer": 1}),
    "no layer": lambda result: result.update(audit=[layer("x", 2, 2), ATTACK]),
    "an agreement over one": integer(agreement=1.0001),
    "an agreement of half an image": integer(agreement=0.99985),
    "another agreement than its top-1s": integer(top1=69.0),
    "other images": integer(images=5000),
    "huge images": integer(images=10**400),
    "a text for an agreement": integer(agreement="1.0"),
    "no agreement": lambda result: result["integer"].pop("agreement_float32"),
    "a number for a reason": lambda result: result.update(integer_refused=3),
}


@pytest.mark.parametrize("edit", HAND_MADE.values(), ids=HAND_MADE.keys())
def test_an_audit_or_proof_edited_by_hand_is_unreadable(tmp_path, run, edit):
    run(edit)
    assert statuses(tmp_path) == {("fp", "0"): "done", ("qat", "0"): "unreadable"}
    page = built(tmp_path)[0]
    assert checked(page).scripts == 1


def test_names_of_layers_and_parameters_are_no_markup(tmp_path, run):
    named = quantizer(2, True, 0.0) | {"learned": {ATTACK: -1.5}}
    run(
        lambda result: result.update(
            audit=[{"layer": ATTACK, "weights": named, "activations": None}]
        )
    )
    page = built(tmp_path)[0]
    assert checked(page).scripts == 1
    assert "alert('x')" not in page
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; weights" in page
    assert "&lt;/script&gt; \N{MINUS SIGN}1.5" in page


def drop(result):
    del result["integer"]


def fail(result):
    result["integer"] = proof(result["student"]["top1"], wrong=2)


@pytest.mark.parametrize("edit", [drop, fail])
def test_without_every_seeds_proof_a_method_gets_no_verdict_against_the_paper(tmp_path, edit):
    toy = matrix(methods=(QKD, QAT, KD), seeds=(0, 1, 2), scale="paper")
    top1s = {(m, s): 70.0 + s / 10 for m in ("qkd", "qat", "kd") for s in (0, 1, 2)}
    write_run(tmp_path / "results", toy, top1s)
    (tmp_path / "results" / "paper.csv").write_text(PAPER)
    edit_result(tmp_path / "results", cell_of(toy, "qkd", 1).history, edit)
    summary = collected(tmp_path)[1].splitlines()[1:]
    ends = {line.split(",")[7]: ",".join(line.split(",")[16:20]) for line in summary}
    assert ends["qkd"] == f"70.1000,derived,0.0000,{NO_PROOF}"
    assert ends["qat"] == "75.0000,second-hand,-4.9000,not reproduced"
    page = built(tmp_path)[0]
    assert f'<span class="state no-integer-proof">{NO_PROOF}</span>' in page
    assert "8 of 9 quantized cells that are done run as integers" in page


@pytest.mark.parametrize("scale", ["laptop", "paper"])
def test_without_proofs_no_claim_is_supported_or_contradicted(tmp_path, scale):
    toy = matrix(methods=(QKD, QAT), seeds=(0, 1, 2, 3), scale=scale)
    bumps = {"qkd": [73.0, 73.2, 73.1, 73.2], "qat": [70.0, 70.1, 70.2, 70.1]}
    write_run(tmp_path / "results", toy, {(m, s): bumps[m][s] for m in bumps for s in range(4)})

    def contrast():
        return compare_all(PHASES, only_section(tmp_path).cells, scale).compared[0]

    assert contrast().verdict == ("supported" if scale == "paper" else "higher")
    edit_result(tmp_path / "results", cell_of(toy, "qat", 3).history, drop)
    assert contrast().verdict == (NO_PROOF if scale == "paper" else "higher")
    assert sentence(contrast()).endswith(f"{NO_PROOF}." if scale == "paper" else "higher here.")


def test_what_a_stage_records_is_what_the_report_reads(trained):
    outcome = Records(trained).outcome(small.history(*small.TUTORED))
    assert outcome.status == Status.DONE
    assert outcome.result.integer.agreement == 1.0
    assert [row.layer for row in outcome.result.audit][::7] == ["conv1", "linear"]
    assert outcome.result.audit[0].activations is None


@pytest.mark.parametrize(
    "layers",
    [
        [layer("conv1", 8, None), layer("conv2", 5, 2)],
        [layer("conv1", 8, None), layer("conv2", 2, 4)],
        [layer("conv1", 8, None), layer("conv2", 8, 8), layer("linear", 8, 8)],
    ],
)
def test_an_audit_at_other_bits_than_the_stages_makes_the_record_unreadable(layers, tmp_path):
    toy = matrix(methods=(QAT,), seeds=(0,))
    write_run(tmp_path, toy, {("qat", 0): 70.0})
    history = cell_of(toy, "qat").history
    edit_result(tmp_path, history, lambda result: result.update(audit=layers))
    outcome = Records(store_of(tmp_path)).outcome(history)
    assert (outcome.status, outcome.result) == (Status.UNREADABLE, None)
    assert f"layer {layers[-1]['layer']} was audited at" in outcome.message


def test_depthwise_layers_may_be_audited_at_bits_of_their_own(tmp_path):
    kept = Bits(weight=2, activation=2, depthwise=5)
    audits = {
        Status.DONE: [layer("stem", 8, None), *[layer(f"conv{n}", 5, 5) for n in range(4)]],
        Status.UNREADABLE: [layer("stem", 8, None), layer("conv", 5, 2)],
    }
    toy = matrix(methods=(QAT,), seeds=(0,), bits=(kept,))
    write_run(tmp_path, toy, {("qat", 0): 70.0})
    history = cell_of(toy, "qat").history
    for status, audit in audits.items():
        edit_result(tmp_path, history, lambda result, audit=audit: result.update(audit=audit))
        assert Records(store_of(tmp_path)).outcome(history).status == status


def test_an_agreement_is_never_shown_higher_than_it_is():
    assert whole_percent(0.99988) == f"99.98{NO_BREAK}%"
    assert whole_percent(0.99997) == f"99.99{NO_BREAK}%"
    assert whole_percent(0.9999) == f"99.99{NO_BREAK}%"
    assert whole_percent(1.0) == f"100.00{NO_BREAK}%"


def cost_with(**changes):
    cost = {"parameters": 10, "packed_bytes": 9, "float32_bytes": 40, "macs": 200}
    return {**cost, "bit_operations": 20_000, **changes}


def test_the_share_of_the_products_at_the_bits_is_a_column_and_in_the_label(tmp_path, run):
    run(lambda r: r.update(cost=cost_with(macs_at_bits=122, macs_in_float=50)))
    reading = readings(tmp_path)["qat"]
    assert (reading.at_bits, reading.in_float) == (61.0, 25.0)
    assert plain(label(reading)) == "W2A2, 61 % of MACs"
    assert plain(in_short(reading)).endswith("integer agreement 100.00 %, 25.0 % of MACs in float")
    assert plain(in_full(reading)).endswith("25.0 % of its MACs stay in float.")
    page, cells, _ = built(tmp_path)
    page = plain(page)
    assert "<td>W2A2, 61 % of MACs</td>" in page
    assert "MACs at these bits, %" in page
    assert "1 of 1 quantized cells that are done run as integers; 1 of them have products" in page
    header, fp, qat = cells.splitlines()
    assert header.endswith("steps,stage,at_bits")
    assert fp.endswith(",")
    assert qat.endswith(",61.0000")


def test_where_all_is_quantized_the_label_is_the_bits_alone(tmp_path, run):
    run(lambda r: r.update(cost=cost_with(macs_at_bits=150, macs_in_float=0)))
    reading = readings(tmp_path)["qat"]
    assert label(reading) == "W2A2"
    assert "float" not in in_short(reading)
    assert "stay in float" not in in_full(reading)


def test_records_of_older_code_say_no_share_and_have_no_column(tmp_path, run):
    run(lambda r: r.update(cost=cost_with()))
    reading = readings(tmp_path)["qat"]
    assert label(reading) == "W2A2"
    assert "float" not in in_short(reading)
    page, cells, _ = built(tmp_path)
    assert "MACs at these bits, %" not in page
    assert "at_bits" not in cells


def test_shares_that_are_more_than_all_make_a_record_unreadable(tmp_path, run):
    run(lambda r: r.update(cost=cost_with(macs_at_bits=150, macs_in_float=51)))
    assert readings(tmp_path)["qat"].status == Status.UNREADABLE.value
