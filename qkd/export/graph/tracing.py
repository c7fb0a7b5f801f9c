"""A network as an ONNX graph: torch's own exporter writes all but the quantized layers."""

import copy
import warnings
from typing import Any

import torch
from torch import nn

from qkd.export.graph.layers import OPSET, Quantizers, with_nodes
from qkd.export.graph.levels import NotExportable
from qkd.export.graph.pooling import as_pooling
from qkd.export.graph.tidy import forget_where_it_was_made, own_zero_points

INPUT, OUTPUT = "images", "logits"
LONGEST = 300  # characters of an error of torch's
INSTALL = "install the project's extra 'export': pip install -e '.[export]'"


def onnx_model(network: nn.Module, shape: tuple[int, int, int], quantizers: Quantizers) -> Any:
    """The network as an onnx.ModelProto, from images (batch, C, H, W) in float32 to logits, for any
    batch. The network is left as it is.

    Raises NotExportable where onnx is not installed, where a layer's levels do not fit the form,
    and where torch cannot export a layer.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401 (torch's exporter needs it)
    except ImportError as error:
        raise NotExportable(f"{error}: {INSTALL}") from error
    try:
        # Contiguous: an exporter that is handed channels_last may take the strides for the shape.
        network = copy.deepcopy(network).cpu().eval().to(memory_format=torch.contiguous_format)
        with_nodes(network, quantizers)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # those of torch's exporter, about itself
            program = torch.onnx.export(
                network,
                (torch.zeros(2, *shape),),
                dynamo=True,
                verbose=False,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
            )
        assert program is not None  # noqa: S101 (dynamo's exporter always returns one)
        model: Any = program.model_proto
        forget_where_it_was_made(model)
        as_pooling(model)
        own_zero_points(model)
        onnx.checker.check_model(model, full_check=True)
    except NotExportable:
        raise
    except Exception as error:  # torch copies, traces and writes whatever the network is
        reason = in_one_line(error)
        raise NotExportable(f"torch cannot export the network: {reason}") from error
    return model


def in_one_line(error: Exception) -> str:
    """What an error says, without torch's pages of explanation."""
    words = " ".join(str(error).split())
    short = words if len(words) <= LONGEST else f"{words[:LONGEST]}..."
    return f"{type(error).__name__}: {short}"
