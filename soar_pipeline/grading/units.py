r"""Units, degrees and remarks behind a value.

A unit that only one side writes counts for nothing, as the question has named it. If both sides write one, 5 m is 500
cm, and neither 5 cm nor 5 s. A degree sign counts for nothing beside a degree sign or a plain number; beside π it is
π/180.
"""

import re
from fractions import Fraction

# Dimension and size of the units that are told apart, by their English names.
_SIZES = {
    "length": {"mm": "0.001", "cm": "0.01", "m": "1", "km": "1000", "inch": "0.0254", "ft": "0.3048", "yd": "0.9144",
               "mile": "1609.344"},
    "mass": {"mg": "0.001", "g": "1", "kg": "1000", "ton": "1000000", "oz": "28.349523125", "lb": "453.59237"},
    "time": {"second": "1", "minute": "60", "hour": "3600", "day": "86400", "week": "604800", "year": "31557600",
             "month": "2629800"},
    "money": {"cent": "0.01", "dollar": "1"}, "euros": {"euro": "1"}, "sterling": {"pound sterling": "1"},
    "volume": {"ml": "0.001", "liter": "1"},
    "angle": {"radian": "1"},
    "before noon": {"am": "1"},
    "after noon": {"pm": "1"},
}  # fmt: skip
_OTHER_NAMES = {
    "millimeter": "mm", "centimeter": "cm", "meter": "m", "kilometer": "km", "in": "inch", "inches": "inch",
    "foot": "ft", "feet": "ft", "yard": "yd", "mi": "mile", "milligram": "mg", "gram": "g", "kilogram": "kg",
    "ounce": "oz", "pound": "lb", "sec": "second", "s": "second", "min": "minute", "hr": "hour", "h": "hour",
    "litre": "liter", "l": "liter", "milliliter": "ml", "a.m.": "am", "p.m.": "pm", "millimetre": "mm",
    "centimetre": "cm", "metre": "m", "kilometre": "km", "rad": "radian",
}  # fmt: skip
_UNITS = {unit: (dimension, Fraction(size)) for dimension, units in _SIZES.items() for unit, size in units.items()}
_SPEEDS = {"mph": "mile/hour", "kph": "km/hour"}
_PER = re.compile(r"\s*/\s*|\s+per\s+")
# Words that change what a value means, so that they are no unit.
_MEANING = re.compile(r"\b(?:or|and|more|less|least|most|not|no|except|unless|than|about|between)\b|[\d=<>]")
# A word without LaTeX is a unit if it is one of these, or long: `ab` after a number are two variables.
_WORD = r"(?:[a-zA-Z]{4,}|[ckm]m|kg|ft|lbs?|mph|min|hrs?|[ap]\.?m\.?|sec|oz|deg|way|men|day|mi)"
_POWER = r"\s*(?:\^\s*\{?(?P<power>[23])\}?)?\s*"
_TEXT_AT_END = re.compile(
    rf"(?P<value>.*[^\s~{{(\[,;=\\])(?:\s|~|\\[ ,;:])*(?:\\text\s*\{{(?P<text>[^{{}}]*)\}}){_POWER}"
)
_WORDS_AT_END = re.compile(rf"(?P<value>.*[\d}})])\s*(?P<text>{_WORD}(?:\s+[a-zA-Z]+)*){_POWER}")
_FUNCTIONS = re.compile(r"\b(?:sqrt|sin|cos|tan|log|mod|pmod|base|infinity|percent)")
_MONEY = re.compile(r"\s*(?:\\\$|\$|\\text\s*\{\s*\\?\$\s*\}|(?P<sign>[€£]))\s*(?P<value>.*)")
_CURRENCIES = {None: "dollar", "€": "euro", "£": "pound sterling"}
_DEGREES = re.compile(r"\^\\circ\s*")

Unit = tuple[str, Fraction]


def split_unit(text: str) -> tuple[str, Unit | None]:
    """The value without its unit or remark, and the unit if it is one that is told apart."""
    for pattern in (_TEXT_AT_END, _WORDS_AT_END):
        match = pattern.fullmatch(text)
        if match and not _MEANING.search(match["text"]) and not _FUNCTIONS.match(match["text"]):
            value, unit = match["value"].strip(), _unit(match["text"], int(match["power"] or 1))
            return _without_currency(value)[0], unit
    return _without_currency(text)


def without_degrees(text: str) -> str:
    return _DEGREES.sub("", text)


def _without_currency(value: str) -> tuple[str, Unit | None]:
    match = _MONEY.fullmatch(value)
    return (match["value"], _unit(_CURRENCIES[match["sign"]], 1)) if match else (value, None)


def _unit(words: str, power: int) -> Unit | None:
    name = words.strip().lower()
    name = _SPEEDS.get(name, name)
    if len(parts := _PER.split(name)) == 2:
        units = [_unit(part, 1) for part in parts]
        return (f"{units[0][0]}/{units[1][0]}", units[0][1] / units[1][1]) if all(units) else None
    for prefix, exponent in (("square", 2), ("sq", 2), ("cubic", 3), ("cu", 3)):
        if name.startswith(prefix + " "):
            name, power = name.removeprefix(prefix).strip(" ."), exponent
    known = next(
        (form for form in (name, name.rstrip("."), name.removesuffix("s")) if form in _UNITS | _OTHER_NAMES), None
    )
    if known is None:
        return None
    dimension, size = _UNITS[_OTHER_NAMES.get(known, known)]
    return f"{dimension}^{power}", size**power
