"""python prover.py IMAGES, in any tree's packages: proves one network when a line asks for it.

Each line of its input is answered by one line: what the proof found, and the network's sha256. It
takes of a tree no more than the names that it has had for long.
"""

import hashlib
import json
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from qkd.models.resnet_cifar import resnet
from qkd.quantizers.quantize import quantize, set_intervals
from qkd.spec import Bits, Quantization

BATCH, STEPS = 250, 30
W4A4 = Quantization(bits=Bits(weight=4, activation=4))


def images_of(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Images (count, 3, 32, 32) of ten classes, each a pattern under noise, and their labels."""
    patterns = torch.randn(10, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(10, (count,), generator=generator)
    noise = torch.randn(count, 3, 32, 32, generator=generator)
    images = patterns[labels] + noise
    return images.contiguous(memory_format=torch.channels_last), labels


def trained() -> nn.Module:
    """ResNet-20 at W4A4 after a few steps, after which most answers are clear."""
    torch.manual_seed(0)
    network = quantize(resnet(20).to(memory_format=torch.channels_last), W4A4)
    network = network.to(memory_format=torch.channels_last)
    set_intervals(network, images_of(64, 1)[0], W4A4)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    for step in range(STEPS):
        images, labels = images_of(64, 1 + step)
        optimiser.zero_grad()
        loss = functional.cross_entropy(network.train()(images), labels)
        torch.autograd.backward(loss)
        optimiser.step()
    return network.eval()


def prover() -> Callable[..., Any]:
    """The tree's proof, where it stands."""
    try:
        from qkd.measures.proof import prove
    except ModuleNotFoundError:
        from qkd.measures.integer import prove  # type: ignore[attr-defined, no-redef]
    return prove


def main() -> None:
    """Says "ready", and then answers each line."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    network, prove = trained(), prover()
    images, labels = images_of(int(sys.argv[1]), 1_000)
    count = -(-len(labels) // BATCH)
    batches = list(zip(images.chunk(count), labels.chunk(count), strict=True))
    with torch.inference_mode():
        float32 = torch.cat([network(batch).argmax(1) for batch, _ in batches])
    sha256 = hashlib.sha256()
    for tensor in network.state_dict().values():
        sha256.update(tensor.contiguous().numpy().tobytes())
    print("ready", flush=True)
    for _ in sys.stdin:
        proof = prove(network, batches, float32)
        found = [proof.agreement, proof.agreement_float32, proof.top1, proof.top1_reference]
        print(json.dumps([sha256.hexdigest(), *found]), flush=True)


if __name__ == "__main__":
    main()
