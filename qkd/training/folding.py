"""Batch norms folded into the convolutions before them: a frozen teacher's, for speed."""

from collections import Counter

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from qkd.quantizers.tracing import trace


def fold(network: nn.Module) -> nn.Module:
    """The network itself, in eval mode, each batch norm folded into the convolution whose only
    reader it is.

    The same function but for rounding. What goes by two names, or is touched otherwise than by one
    call, stays as it is; so does a network that torch.fx cannot trace: it may teach all the same.
    """
    network.eval()
    try:
        graph = trace(network)
    except ValueError:
        return network
    nodes = list(graph.graph.nodes)
    calls = Counter(str(node.target) for node in nodes if node.op == "call_module")
    reads = [str(node.target) for node in nodes if node.op == "get_attr"]
    names = Counter(id(m) for _, m in network.named_modules(remove_duplicate=False))
    for node in nodes:
        pair = _pair(node)
        alone = all(
            calls[name] == 1
            and names[id(network.get_submodule(name))] == 1
            and not any(read.startswith(f"{name}.") for read in reads)
            for name in pair
        )
        if pair and alone:
            _fold(network, *pair)
    return network


def _pair(node: fx.Node) -> tuple[str, str] | tuple[()]:
    """The names of a module that this node calls and of the one whose output it alone reads."""
    before = node.args[0] if node.args else None
    if not isinstance(before, fx.Node) or len(before.users) > 1:
        return ()
    if before.op != "call_module" or node.op != "call_module":
        return ()
    return str(before.target), str(node.target)


def _fold(network: nn.Module, name: str, norm_name: str) -> None:
    """Folds the second module into the first where they are a convolution and its batch norm, and
    nothing is hooked to either.
    """
    layer, norm = network.get_submodule(name), network.get_submodule(norm_name)
    hooked = any(m._forward_hooks or m._forward_pre_hooks for m in (layer, norm))
    if hooked or type(layer) is not nn.Conv2d or type(norm) is not nn.BatchNorm2d:
        return
    if norm.track_running_stats:
        network.set_submodule(name, fuse_conv_bn_eval(layer, norm))
        network.set_submodule(norm_name, nn.Identity())
