"""torchvision's networks, quantized, as ONNX: onnxruntime computes what they compute."""

import numpy as np
import pytest

from qkd.export.choice import graphs
from qkd.export.graph.reading import wiring
from qkd.quantizers.quantize import quantized_layers
from tests.qkd.measures.test_imagenet_proofs import BITS, SHAPE, images_of, quantized
from tests.support.exported import WHY, apart


@pytest.mark.slow
@pytest.mark.parametrize("name", BITS)
def test_onnxruntime_computes_what_the_network_does(name):
    pytest.importorskip("onnxscript", reason=WHY)
    pytest.importorskip("onnxruntime", reason=WHY)
    onnx = pytest.importorskip("onnx", reason=WHY)
    from qkd.export.consumers.onnxruntime_cpu import opened

    network = quantized(name)
    found = graphs(network, SHAPE)
    shapes = {tuple(layer.weight.shape) for _, layer in quantized_layers(network)}
    images = images_of(12, 5)
    for form in ("onnx", "onnx-folded"):
        # A value on a rounding edge may fall either way and move an image's logits, but not most
        # images have one. How many float32 roundings the others differ by, the processor decides.
        _, differences = apart(opened(found.files[form]), network, images)
        assert float(np.median(differences)) < 1e-3, (form, differences)
        wires = wiring(onnx.load_from_string(found.files[form]).graph)
        held = {tuple(one.dims) for one in wires.constants.values() if one.data_type in (2, 3)}
        assert {dims for dims in held if len(dims) > 1} == shapes
