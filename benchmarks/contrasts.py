"""What is compared with what: contrasts as data, and those of the phases (torch-free)."""

from typing import Literal

from qkd.spec.value import Name, Value

MINUS = "\N{MINUS SIGN}"


Family = Literal["headline", "phases"]
HEADLINE = (("qkd", "kd"), ("qkd", "qat"), ("qkd", "qat-cost"))


class Contrast(Value, kw_only=True):
    """The difference ``first - second`` of two methods' top-1.

    ``asks`` says what it is for. ``predicted`` is the sign that the paper's claim predicts (0: it
    predicts none). ``fixed`` contrasts are decided upon before any run and corrected by families;
    the others are exploratory.
    """

    first: Name
    second: Name
    asks: str = ""
    predicted: Literal[-1, 0, 1] = 0
    fixed: bool = True

    @property
    def family(self) -> Family:
        """Those of a family are corrected together: QKD against what it is to beat, or the rest."""
        return "headline" if (self.first, self.second) in HEADLINE else "phases"

    @property
    def label(self) -> str:
        """As in the tables: ``qkd`` less ``qat``, with a minus sign."""
        return f"{self.first} {MINUS} {self.second}"


def _fixed(first: str, second: str, asks: str, predicted: Literal[-1, 0, 1] = 1) -> Contrast:
    return Contrast(first=first, second=second, asks=asks, predicted=predicted)


def explored(first: str, second: str, asks: str) -> Contrast:
    """A contrast that was not fixed beforehand."""
    return Contrast(first=first, second=second, asks=asks, fixed=False)


PHASES = (
    _fixed("qkd", "qat", "QKD against plain QAT"),
    _fixed("qkd", "kd", "QKD against plain KD"),
    _fixed("qkd", "qat-cost", "QKD against plain QAT at the same cost", 0),
    _fixed("qkd", "ss+tu", "what co-studying adds"),
    _fixed("qkd", "cs+tu", "what self-studying adds"),
    _fixed("qkd", "ss+cs", "what tutoring adds"),
    _fixed("kd", "qat", "claim 2: KD alone does not help a quantized network", -1),
    explored("qkd", "qkd-ce", "what the student's pull on the teacher adds"),
    explored("qat-cost", "qat", "what longer training adds to plain QAT"),
    explored("fp-kd", "fp-tuned", "what KD adds in full precision"),
)
