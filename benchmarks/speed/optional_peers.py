"""Peers that are measured where somebody has installed them: modelopt, nncf, MCT.

Their quantizers stand where ours do, before each convolution and linear layer; their flows for
whole networks put the same modules there, for other bits or other layers.
"""

import math
from typing import cast

import torch
from torch import Tensor, nn

from benchmarks.speed.peer_layers import BITS, with_quantizers


def by_modelopt(network: nn.Module, images: Tensor) -> nn.Module:
    """Its bounds stay as they begin: of integers it learns none."""
    from modelopt.torch.quantization.config import QuantizerAttributeConfig
    from modelopt.torch.quantization.nn import TensorQuantizer

    def make(signed: bool) -> nn.Module:
        config = QuantizerAttributeConfig(num_bits=BITS, unsigned=not signed)
        return cast(nn.Module, TensorQuantizer(config))

    def begin(quantizer: nn.Module, x: Tensor) -> None:
        quantizer.amax = x.abs().amax()

    return with_quantizers(make, begin)(network, images)


def by_nncf(network: nn.Module, images: Tensor) -> nn.Module:
    """Its symmetric quantizer, which compiles a C++ extension when it is first called."""
    from nncf.common.quantization.structs import QuantizationScheme
    from nncf.torch.quantization.layers import PTQuantizerSpec, SymmetricQuantizer

    def make(signed: bool) -> nn.Module:
        spec = PTQuantizerSpec(
            num_bits=BITS,
            mode=QuantizationScheme.SYMMETRIC,
            signedness_to_force=signed,
            narrow_range=False,
            half_range=False,
            scale_shape=(1,),
            logarithm_scale=False,
        )
        return cast(nn.Module, SymmetricQuantizer(spec))

    def begin(quantizer: nn.Module, x: Tensor) -> None:
        cast(Tensor, quantizer.scale).data.fill_(x.abs().amax())

    return with_quantizers(make, begin)(network, images)


class ByMCT(nn.Module):
    """MCT's LSQ function with a free threshold, which it rounds to a power of two on export.

    Args:
        signed: whether the tensor has negative values: codes -8 to 7, otherwise 0 to 15.
    """

    def __init__(self, signed: bool) -> None:
        super().__init__()
        self.signed = signed
        self.lowest = -(2 ** (BITS - 1)) if signed else 0
        self.highest = self.lowest + 2**BITS - 1
        self.threshold = nn.Parameter(torch.ones(1))

    def begin(self, x: Tensor) -> None:
        """The largest value."""
        self.threshold.data.fill_(x.abs().amax())

    def forward(self, x: Tensor) -> Tensor:
        """The quantized and dequantized tensor; the threshold's gradient by the channels, as it
        has it for inputs."""
        from model_compression_toolkit.trainable_infrastructure.pytorch.quantizer_utils import (
            symmetric_lsq_quantizer,
        )

        rounded: Tensor = symmetric_lsq_quantizer(
            x,
            self.threshold,
            num_bits=BITS,
            sign=self.signed,
            min_int=self.lowest,
            max_int=self.highest,
            scale_factor=1 / math.sqrt(self.highest * x.shape[1]),
        )
        return rounded


by_mct = with_quantizers(ByMCT, lambda quantizer, x: cast(ByMCT, quantizer).begin(x))
