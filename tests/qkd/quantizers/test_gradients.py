"""Which levels of a quantizer learn: all of ours and the rivals', not all of everybody's."""

import pytest
import torch

from baselines.methods import QUANTIZERS as RIVALS
from qkd.imports import QUANTIZERS, load_file, resolve
from qkd.models.resnet_cifar import resnet
from qkd.quantizers.gradients import _say, gradient_shares
from qkd.quantizers.interval import IntervalQuantizer
from qkd.quantizers.quantize import quantize
from qkd.spec import INTERVAL, Bits, Quantization

VARIANTS = [f"qkd.quantizers.variants:{name}" for name in ("FullWeightLevels", "ScaledGradient")]
BITS = (2, 3, 4, 8)

OWN = '''
import torch

from qkd.quantizers.interval import IntervalQuantizer


def rounded(v):
    return v + (v.round() - v).detach()


class RoundsThenClips(IntervalQuantizer):
    def forward(self, x):
        step = self.interval / self.steps
        low = -self.steps if self.signed else 0
        return rounded(x / step).clamp(low, self.steps) * step


class ClipsThenRounds(IntervalQuantizer):
    def forward(self, x):
        step = self.interval / self.steps
        low = -self.steps if self.signed else 0
        return rounded((x / step).clamp(low, self.steps)) * step


class Inner(torch.autograd.Function):
    """As clamp does it since torch 2.14, in any version."""

    @staticmethod
    def forward(ctx, v, low, high):
        ctx.save_for_backward((v > low) & (v < high))
        return v.clamp(low, high)

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.saved_tensors[0], None, None


class LosesItsEnds(IntervalQuantizer):
    def forward(self, x):
        step = self.interval / self.steps
        low = -self.steps if self.signed else 0
        return Inner.apply(rounded(x / step), low, self.steps) * step


class Detached(IntervalQuantizer):
    def forward(self, x):
        return super().forward(x).detach()


class Zeroless(IntervalQuantizer):
    def forward(self, x):
        y = super().forward(x)
        return torch.where(y == 0, y.detach(), y)


class Breaks(IntervalQuantizer):
    def initialise(self, tensor, rule):
        raise ArithmeticError("never")
'''


def classes(path):
    """The classes for inputs, and for weights."""
    found = resolve(path, QUANTIZERS)
    return found, getattr(found, "weights", found)


@pytest.mark.parametrize("path", [INTERVAL, *VARIANTS, *RIVALS.values()])
@pytest.mark.parametrize("bits", BITS)
def test_every_level_of_ours_and_of_the_rivals_learns(path, bits):
    inputs, weights = classes(path)
    for kind, signed in ((inputs, True), (inputs, False), (weights, True)):
        shares = gradient_shares(kind(bits, signed))
        assert len(shares) >= min(kind(bits, signed).levels, 2**bits - 1) - 1, kind
        assert min(shares.values()) > 0, (kind, shares)


@pytest.mark.parametrize(("signed", "codes"), [(True, range(-1, 2)), (False, range(4))])
def test_the_shares_by_hand(signed, codes):
    # Within the bounds every value of ours receives a gradient; of the ends half a cell counts.
    assert gradient_shares(IntervalQuantizer(2, signed)) == dict.fromkeys(codes, 1.0)


@pytest.fixture
def own(user_file):
    _say.cache_clear()
    return load_file(user_file("learning_quantizers.py", OWN))


def test_a_level_that_receives_none_has_the_share_0(own):
    shares = gradient_shares(own.LosesItsEnds(3, True))
    assert {code for code, share in shares.items() if share == 0} == {-3, 3}
    assert all(share == 1 for code, share in shares.items() if abs(code) < 3)
    assert set(gradient_shares(own.Detached(2, False)).values()) == {0.0}
    assert gradient_shares(own.Zeroless(2, True)) == {-1: 1.0, 0: 0.0, 1: 1.0}


def built(name, capsys, bits=2):
    quantization = Quantization(
        bits=Bits(weight=bits, activation=bits), quantizer=f"learning_quantizers:{name}"
    )
    torch.manual_seed(3)
    quantize(resnet(8, width=4), quantization)
    drawn = torch.rand(1)
    return capsys.readouterr().err.splitlines(), drawn


def test_what_does_not_learn_is_said_by_name_level_and_mend_once(own, capsys):
    lines, drawn = built("LosesItsEnds", capsys)
    assert len(lines) == len(set(lines))
    (weights,) = (line for line in lines if "(2 bits, signed)" in line)
    for words in (
        "LosesItsEnds",
        "outermost levels",
        "code -1, +1",
        "2 of 3 levels",
        "clip before",
    ):
        assert words in weights
    assert built("LosesItsEnds", capsys)[1] == drawn
    lines, other = built("ClipsThenRounds", capsys)
    assert lines == []
    assert other == drawn


def test_the_usual_mistake_is_noticed_where_this_torch_makes_it_one(own, capsys):
    x = torch.ones((), requires_grad=True)
    x.clamp(0, 1).backward()
    lines, _ = built("RoundsThenClips", capsys)
    assert bool(lines) == (x.grad == 0)


def test_a_level_within_and_a_quantizer_that_breaks_are_said_too(own, capsys):
    lines, _ = built("Zeroless", capsys)
    assert any("to levels within: of the values that it rounds to code +0 none" in x for x in lines)
    lines, _ = built("Breaks", capsys)
    assert any(
        "Breaks (2 bits, signed) could not be tried: ArithmeticError: never" in x for x in lines
    )


def test_ours_are_not_tried_again_at_each_start(monkeypatch, capsys):
    monkeypatch.setattr("qkd.quantizers.gradients._say", lambda *_: pytest.fail("tried"))
    quantize(resnet(8, width=4), Quantization(bits=Bits(weight=2, activation=2)))
    assert capsys.readouterr().err == ""
