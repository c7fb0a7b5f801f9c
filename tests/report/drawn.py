"""Frames that a test draws, and what the figure's SVG shows, read back from its bytes."""

import math
import re

import pandas as pd

NUMBER = r"-?\d+(?:\.\d+)?"


def frame(columns, *rows):
    return pd.DataFrame(rows, columns=columns.split())


def gains(*rows):
    """The frame of the first screen's figure."""
    return frame("setting run was_seen contrast share mean low high", *rows)


def curves(*rows):
    return frame("method series step value", *rows)


def borders(*rows):
    return frame("method step phase", *rows)


def bins(layer, moment, shares, clipped=10.0):
    edges = [-math.inf, -1.0, 0.0, 1.0, math.inf]
    rows = zip(edges[:-1], edges[1:], shares, strict=True)
    return [(layer, moment, left, right, share, clipped) for left, right, share in rows]


def texts(svg):
    """(x, y, text) of every text that stands upright."""
    found = re.findall(rf'<text[^>]* x="({NUMBER})" y="({NUMBER})"[^>]*>([^<]*)</text>', str(svg))
    return [(float(x), float(y), text) for x, y, text in found]


def place_of(svg, text):
    """(x, y) of the one text that reads so."""
    (place,) = [(x, y) for x, y, own in texts(svg) if own == text]
    return place


def marks(svg, fill):
    """(x, y) of the marks that are filled with a colour of the page, in their order."""
    looked = re.findall(r'<g[^>]*style="([^"]*)"[^>]*>((?:<use [^>]*/>)+)</g>', str(svg))
    looked += [
        (style, use) for use, style in re.findall(r'(<use [^>]*style="([^"]*)"[^>]*/>)', str(svg))
    ]
    return [
        (float(x), float(y))
        for style, uses in looked
        if f"fill:var(--{fill})" in style
        for x, y in re.findall(rf' x="({NUMBER})" y="({NUMBER})"', uses)
    ]


def paths(svg, *looks):
    """The ``d`` of every path in whose style, or its group's, all of the looks are."""
    found, groups = [], []
    for tag in re.findall(r"<[^>]*>", str(svg)):
        style = "".join(re.findall(r'style="([^"]*)"', tag))
        if tag.startswith("<g"):
            groups.append(style)
        elif tag == "</g>":
            groups.pop()
        elif tag.startswith("<path"):
            whole = ";".join([*groups, style])
            if all(look in whole for look in looks):
                found += re.findall(r' d="([^"]*)"', tag)
    return found


def points(path):
    """The (x, y) that a path of M, L, H and V goes through."""
    x = y = 0.0
    found = []
    for command, rest in re.findall(r"([MLHV])([^A-Za-z]*)", path):
        numbers = [float(part) for part in rest.split()]
        if command == "H":
            (x,) = numbers
        elif command == "V":
            (y,) = numbers
        else:
            x, y = numbers
        found.append((x, y))
    return found


def scale(known):
    """From two values with their places a function that gives the place of any value."""
    (first, at), (second, to) = known
    return lambda value: at + (value - first) * (to - at) / (second - first)
