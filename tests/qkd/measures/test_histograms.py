"""The histograms of weights, before a stage and after it."""

import numpy
import pytest
import torch
from torch import nn

from qkd.measures.audit import audit
from qkd.measures.histograms import EDGES, weight_histograms
from qkd.phases import TUTORING
from qkd.quantizers.quantize import quantize, quantized_layers
from qkd.records.record import Store
from qkd.spec import Bits, Quantization
from qkd.spec.history import parents
from qkd.train import run_stage
from qkd.training.loop import Stopped
from tests.qkd.measures.test_integer_networks import PATHS, images_of, network_of
from tests.support import small

ONE, TWO, THREE = (small.history(*p) for p in (small.SELF_STUDIED, small.CO_STUDIED, small.TUTORED))


def kept(record):
    return record.read_json(record.histograms_file)


def counted(places):
    """The counts by numpy: the outermost bins are open."""
    return numpy.histogram(places, [-numpy.inf, *EDGES, numpy.inf])[0].tolist()


def test_a_layer_by_hand():
    network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU(), nn.Conv2d(1, 7, 1))
    quantize(network, Quantization(bits=Bits(weight=2, activation=2, edge=2)))
    # Over the interval 0.5: -3, -2, -1, 0, 0.25, 1.25, 2; clipped are those beyond -1 and 1.
    weights = torch.tensor([-1.5, -1.0, -0.5, 0.0, 0.125, 0.625, 1.0])
    network[2].weight.data.copy_(weights.view(7, 1, 1, 1))
    network[2].weight_quantizer.interval.data.fill_(0.5)
    row = weight_histograms(network)[1]
    assert len(row.counts) == 34
    # Bin 0 is what lies below -2; bin n begins at -2 + (n - 1) / 8.
    found = {n: count for n, count in enumerate(row.counts) if count}
    assert found == {0: 1, 1: 1, 9: 1, 17: 1, 19: 1, 27: 1, 33: 1}
    assert row.clipped == 4 / 7
    assert (row.layer, row.learned) == ("2", {"interval": 0.5})


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_our_quantizers_counts_are_those_of_the_weights_over_the_interval(bits):
    network = network_of("resnet", bits=bits)
    for row, (name, layer) in zip(
        weight_histograms(network), quantized_layers(network), strict=True
    ):
        weights = layer.weight.detach().double()
        places = weights / layer.weight_quantizer.interval.detach().double()
        assert row.layer == name
        assert list(row.counts) == counted(places.flatten().numpy())


@pytest.mark.parametrize("path", PATHS)
def test_every_quantizers_weights_are_counted_once_and_clipped_as_in_the_audit(path):
    network = network_of("mobilenet", path, bits=4)
    audited = {row.layer: row.weights for row in audit(network, images_of(8))}
    rows = weight_histograms(network)
    assert [row.layer for row in rows] == list(audited)
    beyond = [n for n in range(len(EDGES) + 1) if not EDGES.index(-1) < n <= EDGES.index(1)]
    for row, (name, layer) in zip(rows, quantized_layers(network), strict=True):
        elements = layer.weight.numel()
        assert sum(row.counts) == elements
        for word in ("clipped", "learned"):
            assert getattr(row, word) == getattr(audited[name], word)
        outside = sum(row.counts[n] for n in beyond)
        assert row.clipped * elements <= outside + 1e-9


def test_a_stage_begins_where_the_one_before_it_ended(trained):
    one, two, three = (kept(trained.record(history)) for history in (ONE, TWO, THREE))
    assert one["before"] != one["after"]
    assert (one["after"], two["after"]) == (two["before"], three["before"])
    for history, found in ((ONE, one), (TWO, two), (THREE, three)):
        record = trained.record(history)
        audited = record.read_json(record.result_file)["audit"]
        assert found["edges"] == list(EDGES)
        assert [row["layer"] for row in found["before"]] == [row["layer"] for row in audited]
        for row, layer in zip(found["after"], audited, strict=True):
            assert row["learned"] == layer["weights"]["learned"]
            assert row["clipped"] == layer["weights"]["clipped"]


def test_a_stage_in_full_precision_keeps_none(trained):
    assert not trained.record(small.PAIR.student_start).histograms_file.exists()


@pytest.mark.parametrize("damage", ["", '{"edges": [', '{"before": NaN}'])
def test_what_was_before_is_not_made_up_and_no_result_is_lost(damage, trained, runtime, tmp_path):
    stage = small.stage(*small.CO_STUDIED, (TUTORING, 10))
    store = small.beginning(trained, tmp_path, *parents(stage))
    steps = iter((False, False, True))
    with pytest.raises(Stopped):
        run_stage(stage, store, runtime, should_stop=lambda: next(steps))
    record = Store(tmp_path).record(stage.history)
    assert list(kept(record)) == ["before", "edges"]
    record.histograms_file.unlink()
    if damage:
        record.histograms_file.write_text(damage)
    run_stage(stage, store, runtime)
    assert record.result_file.exists()
    small.assert_same_end(record, trained.record(stage.history))
    assert (record.histograms_file.read_text() if damage else "") == damage
    assert record.histograms_file.exists() == bool(damage)
