"""Operations by what they do to signs: as modules, functions and names of methods."""

import operator
from typing import Any

import torch
from torch import nn
from torch.nn import functional

# What comes out is never negative, whatever goes in.
NON_NEGATIVE: set[Any] = {
    nn.ReLU,
    nn.ReLU6,
    nn.Sigmoid,
    nn.Hardsigmoid,
    nn.Softmax,
    torch.relu,
    torch.relu_,
    torch.sigmoid,
    torch.softmax,
    torch.abs,
    torch.exp,
    torch.square,
    functional.relu,
    functional.relu6,
    functional.hardsigmoid,
    functional.sigmoid,
    functional.softmax,
    "relu",
    "relu_",
    "sigmoid",
    "softmax",
    "abs",
    "exp",
    "square",
}

# What comes out is never negative where the first that goes in is not, of a list none of it.
KEEPS_SIGN: set[Any] = {
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
    nn.Flatten,
    nn.Identity,
    nn.Dropout,
    nn.Dropout2d,
    nn.ZeroPad2d,
    nn.PixelShuffle,
    nn.PixelUnshuffle,
    nn.ChannelShuffle,
    functional.max_pool2d,
    functional.avg_pool2d,
    functional.adaptive_avg_pool2d,
    functional.adaptive_max_pool2d,
    functional.dropout,
    functional.dropout2d,
    functional.pixel_shuffle,
    functional.pixel_unshuffle,
    functional.channel_shuffle,
    torch.flatten,
    torch.reshape,
    torch.mean,
    torch.sum,
    torch.amax,
    torch.amin,
    torch.cat,
    torch.stack,
    torch.chunk,
    torch.split,
    torch.unbind,
    torch.squeeze,
    torch.unsqueeze,
    torch.transpose,
    torch.permute,
    operator.getitem,
    "flatten",
    "reshape",
    "view",
    "mean",
    "sum",
    "amax",
    "amin",
    "contiguous",
    "transpose",
    "permute",
    "chunk",
    "split",
    "unbind",
    "squeeze",
    "unsqueeze",
    "size",
}

# What comes out of two tensors or numbers is never negative where none of both is.
SUMS: set[Any] = {operator.add, operator.iadd, torch.add, "add", "add_"}
PRODUCTS: set[Any] = {operator.mul, operator.imul, torch.mul, "mul", "mul_"}

CLAMPS: set[Any] = {torch.clamp, torch.clip, "clamp", "clamp_", "clip", "clip_"}
LARGEST: set[Any] = {torch.max, torch.maximum, "max", "maximum"}
SMALLEST: set[Any] = {torch.min, torch.minimum, "min", "minimum"}
POWERS: set[Any] = {operator.pow, operator.ipow, torch.pow, "pow", "pow_"}

# Of what knows nothing of signs: what comes out lies in memory of its own.
ALLOCATES: set[Any] = {
    operator.sub,
    operator.neg,
    operator.pow,
    operator.truediv,
    operator.matmul,
    torch.sub,
    torch.neg,
    torch.div,
    torch.matmul,
    torch.bmm,
    torch.tanh,
    functional.silu,
    functional.gelu,
    functional.elu,
    functional.leaky_relu,
    functional.hardswish,
    functional.hardtanh,
    functional.layer_norm,
    functional.linear,
    functional.conv2d,
    functional.scaled_dot_product_attention,
    "sub",
    "neg",
    "div",
    "matmul",
    "bmm",
    "tanh",
    *(CLAMPS - {"clamp_", "clip_"}),
}
