"""Batch norms folded into the convolutions before them: a frozen teacher's, for speed."""

import copy
from collections import Counter

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from qkd.signs import trace


def folded(network: nn.Module) -> nn.Module:
    """A copy in eval mode, each batch norm folded into the convolution whose only reader it is.

    The same function but for rounding. A network that torch.fx cannot trace stays as it is: it may
    teach all the same.
    """
    network = copy.deepcopy(network).eval()
    try:
        graph = trace(network)
    except ValueError:
        return network
    nodes = list(graph.graph.nodes)
    calls = Counter(node.target for node in nodes if node.op == "call_module")
    for node in nodes:
        convolution = node.args[0] if node.args else None
        if not isinstance(convolution, fx.Node) or len(convolution.users) > 1:
            continue
        names = [str(one.target) for one in (convolution, node) if one.op == "call_module"]
        if len(names) == 2 and all(calls[name] == 1 for name in names):
            _fold(network, *names)
    return network


def _fold(network: nn.Module, name: str, norm_name: str) -> None:
    """Folds the second module into the first where they are a convolution and its batch norm."""
    layer, norm = network.get_submodule(name), network.get_submodule(norm_name)
    if type(layer) is nn.Conv2d and type(norm) is nn.BatchNorm2d and norm.track_running_stats:
        network.set_submodule(name, fuse_conv_bn_eval(layer, norm))
        network.set_submodule(norm_name, nn.Identity())
