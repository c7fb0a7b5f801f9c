"""Text that others wrote, made fit for a terminal (torch-free)."""

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def printable(text: str) -> str:
    """The text with every control or other unprintable character but line feeds replaced."""
    return "".join(c if c.isprintable() or c == "\n" else REPLACEMENT for c in text)
