"""What can be asked for, as frozen values with an identity (torch-free).

A history says what a network has been through; its digest names the record of the state that it
leads to.
"""

from qkd.spec.data import Data, Photos, Sha256
from qkd.spec.history import (
    NUMERICS,
    History,
    Learner,
    Part,
    Precision,
    Recipe,
    Stage,
)
from qkd.spec.methods import Hook, Method, Phase, Share, Term
from qkd.spec.networks import INTERVAL, BitCount, Bits, Network, Quantization, Weights

__all__ = [
    "INTERVAL",
    "NUMERICS",
    "BitCount",
    "Bits",
    "Data",
    "History",
    "Hook",
    "Learner",
    "Method",
    "Network",
    "Part",
    "Phase",
    "Photos",
    "Precision",
    "Quantization",
    "Recipe",
    "Sha256",
    "Share",
    "Stage",
    "Term",
    "Weights",
]
