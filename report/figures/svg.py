"""An SVG of matplotlib's in fewer characters: the same picture, and nothing that is not seen."""

import re
from itertools import groupby

_ELEMENT = re.compile(r"(<(?:path|use)\b[^>]*/>|<text\b[^>]*>[^<]*</text>)")


def apart(svg: str) -> tuple[str, list[str]]:
    """The SVG with a number for each text, and the texts: what is done to the one never
    changes what others wrote."""
    texts: list[str] = []

    def put_aside(found: re.Match[str]) -> str:
        texts.append(found[1])
        return f">{len(texts) - 1}</text>"

    return re.sub(r">([^<]*)</text>", put_aside, svg), texts


def together(svg: str, texts: list[str]) -> str:
    """What `apart` took apart."""
    return re.sub(r">(\d+)</text>", lambda found: f">{texts[int(found[1])]}</text>", svg)


def smaller(svg: str) -> str:
    """Places in tenths of a point, short paths, and a look that is said once for its row."""
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r"\s*\n\s*", " ", svg)
    svg = re.sub(r' (?:d|x|y|width|height|transform)="[^"]*"', _in_tenths, svg)
    svg = re.sub(r'<path d="[^"]*" style="fill: none"/>', "", svg)
    svg = re.sub(r' transform="rotate\(-0 [^"]*\)"', "", svg)
    svg = re.sub(r"font-family: [^;\"]*(; )?", "", svg)  # the whole figure's
    svg = svg.replace("; stroke-dashoffset: 0", "").replace("; stroke-linecap: butt", "")
    svg = re.sub(r'(?<=style=")[^"]*', lambda found: re.sub(r"(?<=[:;]) ", "", found[0]), svg)
    svg = re.sub(r'(?<= d=")[^"]*', lambda found: re.sub(r" ?([MLCQz]) ?", r"\1", found[0]), svg)
    svg = re.sub(r'(?<= d=")[^"]*', _along_the_axes, svg)
    svg = re.sub(r">\s+<", "><", svg).replace("<defs></defs>", "")
    return _grouped(_ungrouped(svg))


def named(svg: str, name: str) -> str:
    """With ids that are unique on a page: ``name`` and a number."""
    ids = {own: f"{name}-{place}" for place, own in enumerate(re.findall(r'\bid="([^"]+)"', svg))}
    svg = re.sub(r'\bid="([^"]+)"', lambda found: f'id="{ids[found[1]]}"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", lambda found: f"url(#{ids[found[1]]})", svg)
    return re.sub(r'xlink:href="#([^"]+)"', lambda found: f'href="#{ids[found[1]]}"', svg)


def _ungrouped(svg: str) -> str:
    """Without the groups that nothing but their place in the file is said of."""
    parts: list[str] = []
    kept: list[bool] = []
    for part in re.split(r"(<g\b[^>]*>|</g>)", svg):
        if part == "</g>":
            is_kept = kept.pop()
        else:
            is_kept = part not in ("<g>", "<g/>")
            if part.startswith("<g") and not part.endswith("/>"):
                kept.append(is_kept)
        if is_kept:
            parts.append(part)
    return "".join(parts)


def _grouped(svg: str) -> str:
    """Elements in a row that look alike, in a group that says how."""
    parts = [part for part in _ELEMENT.split(svg) if part]
    return "".join(
        _group(look, list(elements)) if look else "".join(elements)
        for look, elements in groupby(parts, _look)
    )


def _look(part: str) -> str:
    """The style and the clip of an element; empty of all else."""
    if not _ELEMENT.fullmatch(part):
        return ""
    head = part[: part.index(">")]
    return "".join(re.findall(r' (?:clip-path|style)="[^"]*"', head))


def _group(look: str, elements: list[str]) -> str:
    if len(elements) < 2:
        return "".join(elements)
    plain = (re.sub(r' (?:clip-path|style)="[^"]*"', "", one, count=2) for one in elements)
    return f"<g{look}>{''.join(plain)}</g>"


def _along_the_axes(path: re.Match[str]) -> str:
    """Lines that run along an axis by the one place that changes."""
    parts, last = [], ["", ""]
    for command, places in re.findall(r"([A-Za-z])([^A-Za-z]*)", path[0]):
        here = places.split()[-2:] or last
        if command == "L" and here[1] == last[1]:
            parts.append(f"H{here[0]}")
        elif command == "L" and here[0] == last[0]:
            parts.append(f"V{here[1]}")
        else:
            parts.append(f"{command}{places.rstrip()}")
        last = here
    return "".join(parts)


def _in_tenths(attribute: re.Match[str]) -> str:
    """A place, which alone is rounded: what a figure says stays as it is."""
    rounded = (
        f"{float(part):.1f}".rstrip("0").rstrip(".") if "." in part else part
        for part in re.split(r"(\d+\.\d+)", attribute[0])
    )
    return "".join(rounded)
