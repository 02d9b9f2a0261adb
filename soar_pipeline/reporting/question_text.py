"""What a model wrote, as text in a figure."""

from functools import cache

from matplotlib.font_manager import FontProperties, findfont, get_font

FONT = "DejaVu Sans Mono"


def printable(text: str) -> str:
    """On one line, with � for what the font does not have."""
    return "".join(character if _has_glyph(character) else "�" for character in " ".join(text.split()))


@cache
def _has_glyph(character: str) -> bool:
    return get_font(findfont(FontProperties(family=FONT))).get_char_index(ord(character)) != 0
