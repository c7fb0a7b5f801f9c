"""A tensor of another kind than the network's is refused by name and type."""

import pytest
import safetensors.torch
import torch

from qkd.weights.files import BadWeights
from qkd.weights.reading import fill
from tests.qkd.weights.test_weights import network, saved, written

TYPES = {
    "int8": lambda w: (w * 100).to(torch.int8),
    "uint8": lambda w: (w.abs() * 100).to(torch.uint8),
    "int64": lambda w: (w * 100).to(torch.int64),
    "bool": lambda w: w > 0,
    "complex64": lambda w: w.to(torch.complex64),
    "float8_e4m3fn": lambda w: w.to(torch.float8_e4m3fn),
    "quantized torch.qint8": lambda w: torch.quantize_per_tensor(w, 0.1, 0, torch.qint8),
    "sparse torch.float32": lambda w: w.to_sparse(),
    "sparse torch.float32 (rows)": lambda w: w.to_sparse_csr(),
    r"without values \(meta\) torch.float32": lambda w: w.to("meta"),
}


@pytest.mark.filterwarnings("ignore")  # torch's own, of quantized and sparse tensors
@pytest.mark.parametrize("name", TYPES)
def test_what_is_no_float_is_no_weight(tmp_path, name):
    state = network(1).state_dict()
    state["linear.weight"] = TYPES[name](state["linear.weight"])
    kind = name.removesuffix(" (rows)")
    with pytest.raises(BadWeights, match=rf"linear\.weight .*{kind} for torch\.float32") as caught:
        fill(network(2), saved(tmp_path, state), tmp_path)
    assert "of another type" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["int8", "bool", "float8_e4m3fn"])
def test_what_is_no_float_is_no_weight_in_safetensors_either(tmp_path, name):
    state = network(1).state_dict()
    state["bn1.running_mean"] = TYPES[name](state["bn1.running_mean"])
    with pytest.raises(BadWeights, match=rf"bn1\.running_mean torch\.{name} for torch\.float32"):
        fill(network(2), written(tmp_path, safetensors.torch.save(state)), tmp_path)


class Counting(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("index", torch.arange(3))
        self.register_buffer("mask", torch.ones(3, dtype=torch.bool))
        self.register_buffer("num_batches_tracked", torch.tensor(0))


@pytest.mark.parametrize(
    ("name", "value", "fits"),
    [
        ("index", torch.arange(3, dtype=torch.int32), True),
        ("index", torch.arange(3.0), False),
        ("index", torch.ones(3, dtype=torch.bool), False),
        ("mask", torch.ones(3), False),
        ("mask", torch.ones(3, dtype=torch.int64), False),
        ("mask", torch.zeros(3, dtype=torch.bool), True),
        ("num_batches_tracked", torch.tensor(5.0), True),
        ("num_batches_tracked", torch.tensor(5, dtype=torch.int32), True),
        ("num_batches_tracked", torch.tensor(True), False),
    ],
)
def test_what_is_no_weight_has_its_own_kind(tmp_path, name, value, fits):
    target = Counting()
    weights = saved(tmp_path, {**target.state_dict(), name: value})
    if fits:
        fill(target, weights, tmp_path)
        assert torch.equal(target.state_dict()[name], value.to(target.state_dict()[name].dtype))
    else:
        with pytest.raises(BadWeights, match=f"of another type: {name}"):
            fill(target, weights, tmp_path)
