"""torchvision's networks, quantized, as ONNX: onnxruntime computes what they compute."""

import pytest
import torch

from qkd.export.onnx_graph import INPUT, onnx_bytes
from qkd.quantizers.quantize import quantized_layers
from tests.qkd.measures.test_imagenet_proofs import BITS, SHAPE, images_of, quantized

WHY = "make export needs the project's extra 'export'"


@pytest.mark.slow
@pytest.mark.parametrize("name", BITS)
def test_onnxruntime_computes_what_the_network_does(name):
    pytest.importorskip("onnxscript", reason=WHY)
    onnxruntime = pytest.importorskip("onnxruntime", reason=WHY)
    onnx = pytest.importorskip("onnx", reason=WHY)
    network = quantized(name)
    model = onnx_bytes(network, SHAPE)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    images = images_of(12, 5)
    (found,) = session.run(None, {INPUT: images.numpy()})
    with torch.inference_mode():
        expected = network.double()(images.double())
    # A value on a rounding edge may fall either way and move an image's logits, but not most
    # images have one. How many float32 roundings the others differ by, the processor decides.
    differences = (torch.from_numpy(found) - expected).abs().amax(1)
    assert float(differences.median()) < 1e-4, differences
    assert float(expected.std(0).min()) > 1e-3  # logits do depend on the image
    graph = onnx.load_from_string(model).graph
    integers = (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)
    held = {tuple(one.dims) for one in graph.initializer if one.data_type in integers and one.dims}
    assert held == {tuple(layer.weight.shape) for _, layer in quantized_layers(network)}
