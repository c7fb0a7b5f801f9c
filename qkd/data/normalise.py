"""Pixels as a network sees them."""

import torch
from torch import Tensor

from qkd.spec import Data


class Normalise:
    """(pixel / 255 - mean) / std per channel, as one product and one sum.

    Two plain operations round alike on every device; torch's division by a number does not.
    """

    def __init__(self, data: Data, device: torch.device) -> None:
        mean = torch.tensor(data.mean, dtype=torch.float64)
        std = torch.tensor(data.std, dtype=torch.float64)
        self._scale = (1 / (255 * std)).float().view(-1, 1, 1).to(device)
        self._shift = (-mean / std).float().view(-1, 1, 1).to(device)

    def __call__(self, pixels: Tensor) -> Tensor:
        """Float32 (N, C, H, W) of uint8 (N, C, H, W), in the same memory format."""
        last = pixels.is_contiguous(memory_format=torch.channels_last)
        if last and not pixels.is_contiguous():
            # By rows of all channels, which a CPU computes as vectors: the same numbers, sooner.
            count, channels, height, width = pixels.shape
            rows = pixels.permute(0, 2, 3, 1).reshape(count, height, width * channels).float()
            scale, shift = self._scale.flatten().repeat(width), self._shift.flatten().repeat(width)
            rows.mul_(scale).add_(shift)
            return rows.view(count, height, width, channels).permute(0, 3, 1, 2)
        return pixels.float().mul_(self._scale).add_(self._shift)
