"""The precision of products: where it holds, where it does not, and what is said of it before."""

import pytest
import torch
from msgspec.structs import replace
from torch import nn

from qkd.measures.evaluate import evaluate
from qkd.phases import TUTORING
from qkd.spec import Recipe
from qkd.training import processor
from qkd.training.precision import computing, products
from qkd.training.processor import cautions
from qkd.training.step import Side, optimiser_of, train_step

RECIPE = Recipe(horizon=10, log_every=1, batch=8)


def tf32():
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


class Watching(torch.autograd.Function):
    """Notes whether TF32 is allowed when a pass goes through it, forwards and backwards."""

    seen: list[tuple[str, tuple[bool, bool]]] = []  # noqa: RUF012 (emptied by each test)

    @staticmethod
    def forward(ctx, x):
        Watching.seen.append(("forward", tf32()))
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        Watching.seen.append(("backward", tf32()))
        return gradient


class Watched(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x):
        return Watching.apply(self.layer(x.flatten(1)))


@pytest.fixture(autouse=True)
def off(monkeypatch):
    """As `set_up` leaves it."""
    monkeypatch.setattr(Watching, "seen", [])
    before = tf32()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def step(student_precision, teacher_precision):
    recipe = replace(RECIPE, precision=student_precision)
    torch.manual_seed(0)
    network, teaching = Watched(), Watched()
    student = Side(
        "student",
        network,
        optimiser_of(network, recipe),
        TUTORING.student,
        precision=student_precision,
    )
    teacher = Side("teacher", teaching, precision=teacher_precision)
    images, labels = torch.randn(8, 1, 2, 2), torch.randint(3, (8,))
    train_step(student, teacher, images, labels, recipe=recipe, seed=0, step=0)
    return network


def test_tf32_holds_in_a_sides_forward_and_backward_pass_and_nowhere_else():
    on, no = (True, True), (False, False)
    step("tf32", "float32")
    assert Watching.seen == [("forward", on), ("forward", no), ("backward", on)]
    assert tf32() == no
    Watching.seen.clear()
    step("float32", "tf32")
    assert Watching.seen == [("forward", no), ("forward", on), ("backward", no)]


def test_evaluation_is_in_float32_whatever_training_was_in():
    network = step("tf32", "tf32")
    Watching.seen.clear()
    evaluate(network, [(torch.randn(4, 1, 2, 2), torch.tensor([0, 1, 2, 0]))])
    assert Watching.seen == [("forward", (False, False))]


def test_without_tensor_cores_tf32_is_float32_bit_for_bit():
    weights = [step(precision, "float32").layer.weight for precision in ("float32", "tf32")]
    assert torch.equal(*weights)


def test_what_was_allowed_before_comes_back_after_an_error():
    def fail():
        with products("tf32"):
            assert tf32() == (True, True)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert tf32() == (False, False)


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("float32", torch.float32), ("tf32", torch.float32), ("bfloat16", torch.bfloat16)],
)
def test_only_bfloat16_is_a_type_of_its_own(precision, dtype):
    with computing(precision, "cpu"):
        assert nn.Linear(4, 3)(torch.ones(2, 4)).dtype == dtype


@pytest.mark.parametrize(
    ("flags", "has"),
    [
        ({"avx2", "fma", "avx512f"}, False),
        ({"avx2", "avx512_bf16"}, True),
        ({"amx_bf16", "amx_tile"}, True),
        ({"asimd", "bf16"}, True),
        (set(), False),
    ],
)
def test_a_cpu_without_bfloat16_is_warned_of_before_training(monkeypatch, flags, has):
    monkeypatch.setattr(processor, "instructions", lambda: frozenset(flags))
    said = list(cautions({"bfloat16"}, on_cuda=False))
    assert [("this CPU has no bfloat16" in line) for line in said] == ([] if has else [True])
    # PORTABLE=1 keeps to AVX2, which has none of them.
    (line,) = cautions({"bfloat16"}, on_cuda=False, portable=True)
    assert line.startswith("PORTABLE=1 leaves")
    assert list(cautions({"bfloat16", "tf32"}, on_cuda=True)) == []
    assert list(cautions({"float32"}, on_cuda=False, portable=True)) == []
    (line,) = cautions({"tf32"}, on_cuda=False)
    assert line.startswith("a CPU has no TF32")
