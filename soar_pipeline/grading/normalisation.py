r"""One spelling for every answer: golds, boxes, teachers' answers and votes (docs/verdicts.md has the table).

`normalised` changes how a value is written and never which value it is. It needs no SymPy, so that adapters of data
sets can use it too; what takes mathematics to decide is in comparison.py.
"""

import re
from collections.abc import Callable

Rule = tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]

_SYMBOLS = {
    # Signs.
    "\u2212": "-", "\u2010": "-", "\u2011": "-", "\u2012": "-", "\u2013": "-", "\u2014": "-", "\ufe63": "-",
    "\u00b1": r"\pm ", "\u2213": r"\mp ", "\u00d7": r"\times ", "\u2715": r"\times ", "\u00b7": r"\cdot ",
    "\u22c5": r"\cdot ", "\u2217": r"\cdot ", "\u00f7": r"\div ", "\u2215": "/", "\u2044": "/",
    "\u00b0": r"^\circ ", "\u00ba": r"^\circ ", "\u2032": "'", "\u2030": r"\text{‰}",
    # Relations.
    "\u2264": r"\le ", "\u2a7d": r"\le ", "\u2265": r"\ge ", "\u2a7e": r"\ge ", "\u2260": r"\ne ",
    "\u2248": r"\approx ", "\u2261": r"\equiv ", "\u2208": r"\in ", "\u2209": r"\notin ", "\u2200": r"\forall ",
    "\u2223": r"\mid ", "\u2192": r"\to ",
    # Sets.
    "\u2205": r"\emptyset ", "\u00d8": r"\emptyset ", "\u222a": r"\cup ", "\u2229": r"\cap ",
    "\u2216": r"\setminus ", "\u221e": r"\infty ", "\u2115": r"\mathbb{N}", "\u2124": r"\mathbb{Z}",
    "\u211a": r"\mathbb{Q}", "\u211d": r"\mathbb{R}", "\u2102": r"\mathbb{C}",
    # Letters, spaces, dots, brackets.
    "\u03c0": r"\pi ", "\u03b1": r"\alpha ", "\u03b2": r"\beta ", "\u03b8": r"\theta ", "\u03bb": r"\lambda ",
    "\u03c6": r"\varphi ", "\u03c9": r"\omega ", "\u2220": r"\angle ", "\u25b3": r"\triangle ",
    "\u00a0": " ", "\u2009": " ", "\u202f": " ", "\u2007": " ", "\u200b": "", "\ufeff": "",
    "\u2026": r"\ldots ", "\u22ef": r"\ldots ", "\u230a": r"\lfloor ", "\u230b": r"\rfloor ", "\u2308": r"\lceil ",
    "\u2309": r"\rceil ", "\u3002": ".", "\u3001": ",", "\u27e8": r"\langle ", "\u27e9": r"\rangle ",
}  # fmt: skip
_VULGAR = {
    "½": "12", "⅓": "13", "⅔": "23", "¼": "14", "¾": "34", "⅕": "15", "⅖": "25", "⅗": "35", "⅘": "45", "⅙": "16",
    "⅚": "56", "⅐": "17", "⅛": "18", "⅜": "38", "⅝": "58", "⅞": "78", "⅑": "19",
}  # fmt: skip
# Full-width forms of ASCII, as they stand in Chinese text.
_TRANSLATION = str.maketrans(
    _SYMBOLS
    | {sign: rf"\frac{{{digits[0]}}}{{{digits[1]}}}" for sign, digits in _VULGAR.items()}
    | {chr(code + 0xFEE0): chr(code) for code in range(0x21, 0x7F)}
)
# Marks over a digit, as they are typed after it.
_OVER = {"\u0304": r"\overline", "\u0305": r"\overline", "\u0307": r"\dot"}
_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n", strict=True))
_SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋ₙ", "0123456789+-n", strict=True))


def _scripts(sign: str, letters: dict[str, str]) -> Rule:
    return re.compile(
        f"[{''.join(letters)}]+"
    ), lambda match: f"{sign}{{{''.join(letters[letter] for letter in match.group())}}}"


def _marked(mark: str, command: str) -> Rule:
    return re.compile(rf"(?:\d{mark})+"), lambda match: rf"{command}{{{match.group().replace(mark, '')}}}"


# White space of LaTeX and its sizes of brackets. A backslash before them is a line break's second one.
_SPACE = r"(?:\s|~|(?<!\\)\\[,;:!> ]|(?<!\\)\\(?:thinspace|quad|qquad)(?![a-zA-Z]))"
_GAP = rf"(?:{_SPACE}|\{{\\,\}})"
_COMMA = r"(?:\{,\}|,\\!|\\mathord\{,\}|\{,\\!\})"
_SIGN_OF_DEGREES = r"\s*(?:\^\s*\{\s*\\circ\s*\}|\^\s*\\circ(?![a-zA-Z])|\\degree(?![a-zA-Z])|\\text\{\s*degrees?\s*\})"
_NAMES_OF_NOTHING = (
    r"(?:the\s+)?(?:empty|null)\s+set|(?:there\s+(?:is|are)\s+)?(?:none|no(?:\s+(?:real|integer|valid|possible))*\s+"
    r"(?:such\s+)?(?:solutions?|values?|roots?|(?:numbers?|integers?|functions?|[a-z])(?=\s+exist))(?:\s+exists?)?)"
)
_SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_NUMBER_WORDS = {
    "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9",
    "ten": "10", "eleven": "11", "twelve": "12", "sixteen": "16",
}  # fmt: skip


def _ungrouped(match: re.Match[str]) -> str:
    return re.sub(r"[^\d.]", "", match.group())


def _repeating(match: re.Match[str]) -> str:
    """The decimal `whole.once` and then `again` for ever, as a fraction."""
    integer, once, again = (re.sub(r"\D", "", part or "") for part in match.group("whole", "once", "again"))
    return _fraction_of(integer, once, again)


def _fraction_of(integer: str, once: str, again: str) -> str:
    numerator = int(integer + once + again) - int(integer + once or "0")
    return rf"\frac{{{numerator}}}{{{'9' * len(again)}{'0' * len(once)}}}"


def _repeating_dots(match: re.Match[str]) -> str:
    """`0.666…`, `0.1666…` and `0.1212…`: what stands there three times, or twice if it has two digits or more."""
    integer, digits = match.group("whole", "digits")
    repeated = re.fullmatch(r"(\d*?)(?:(\d)\2{2,}|(\d{2,}?)\3+)", digits)
    if repeated is None:
        return match.group()
    return _fraction_of(integer, repeated.group(1), repeated.group(2) or repeated.group(3))


def _improper(match: re.Match[str]) -> str:
    """The fraction that a mixed number is."""
    whole, numerator, denominator = map(int, match.groups())
    if not numerator < denominator:
        return match.group()
    return rf"\frac{{{whole * denominator + numerator}}}{{{denominator}}}"


_GROUPS = re.compile(rf"(?<![\d.,])[1-9]\d{{0,2}}(?:{_COMMA}\d{{3}})+(?:\.\d+)?(?!\d|,\d)")
_RULES: tuple[Rule, ...] = (
    _scripts("^", _SUPERSCRIPTS),
    _scripts("_", _SUBSCRIPTS),
    *(_marked(mark, command) for mark, command in _OVER.items()),
    # Sizes and styles, which mean nothing.
    (
        re.compile(
            r"\\(?:left|right|[bB]igg?[lrm]?|displaystyle|textstyle|limits|nolimits|boldsymbol|bm|pmb)(?![a-zA-Z])"
        ),
        "",
    ),
    (re.compile(r"\\[dtc]frac(?![a-zA-Z])"), r"\\frac"),
    (re.compile(r"\\[dt]binom(?![a-zA-Z])"), r"\\binom"),
    (re.compile(r"\\lg(?![a-zA-Z])"), r"\\log_{10} "),
    (re.compile(r"\\leq(?:slant|q)?(?![a-zA-Z])|<="), r"\\le "),
    (re.compile(r"\\geq(?:slant|q)?(?![a-zA-Z])|>="), r"\\ge "),
    (re.compile(r"\\neq(?![a-zA-Z])|\\not\s*=|!=(?!=)"), r"\\ne "),
    (re.compile(r"\\(?:dots[bcimo]?|[cld]dots|hdots)(?![a-zA-Z])|\.\.\.+"), r"\\ldots "),
    (re.compile(r"\\(?:mathrm|textrm|textnormal|textup|textit|textbf|mathbf|mathit|mbox)\s*(?=\{)"), r"\\text"),
    (re.compile(r"\\(?:mathbb|mathbf)\s*([NZQRC])(?![a-zA-Z])"), r"\\mathbb{\1}"),
    (re.compile(r"\\R(?![a-zA-Z])"), r"\\mathbb{R}"),
    (re.compile(r"\\[hv]?phantom\s*(?:\{[^{}]*\}|\\?.)"), ""),
    (re.compile(r"^\s*\\approx(?![a-zA-Z])"), ""),
    (re.compile(rf"{_SPACE}*\\?%\s*$"), r"\\%"),
    # Arguments without braces. A product of functions ends the argument of each.
    (re.compile(r"\\(log(?:_\{[^{}]*\}|_\w)?|ln)\s*(\d+|[a-zA-Z])(?=\s*\\(?:cdot|times)(?![a-zA-Z]))"), r"\\\1(\2)"),
    (re.compile(r"\\frac\s*(\\[a-zA-Z]+|[a-zA-Z0-9])"), r"\\frac{\1}"),
    (re.compile(r"(\\frac\s*\{[^{}]*\})\s*(\\[a-zA-Z]+(?![a-zA-Z{])|[a-zA-Z0-9])"), r"\1{\2}"),
    (re.compile(r"\\binom\s*([a-zA-Z0-9])"), r"\\binom{\1}"),
    (re.compile(r"(\\binom\s*\{[^{}]*\})\s*([a-zA-Z0-9])"), r"\1{\2}"),
    (re.compile(r"\\sqrt\s*(\\[a-zA-Z]+(?![a-zA-Z{])|[a-zA-Z0-9])"), r"\\sqrt{\1}"),
    (re.compile(r"\\sqrt\s*(\\frac\s*\{[^{}]*\}\s*\{[^{}]*\})"), r"\\sqrt{\1}"),
    (re.compile(r"(\d+|(?<![a-zA-Z\\])[a-zA-Z])!\s*(?=\^)"), r"(\1!)"),
    # Roots written with a sign instead of a command.
    (re.compile(r"√\s*(\d+(?:\.\d+)?|[a-zA-Z])"), r"\\sqrt{\1}"),
    (re.compile(r"√\s*\(([^()]*)\)"), r"\\sqrt{\1}"),
    (re.compile(r"√\s*(?=\{)"), r"\\sqrt"),
    (re.compile(r"∛\s*(\d+|[a-zA-Z])"), r"\\sqrt[3]{\1}"),
    # Digits in groups of three. A comma alone groups them only where no list can stand: within these arguments, and in
    # an answer that has no other comma.
    (_GROUPS, _ungrouped),
    (re.compile(rf"(?<![\d.,\\])(?<!\d\s)[1-9]\d{{0,2}}(?:{_GAP}\d{{3}})+(?:\.\d+)?(?![\d,])(?!\s\d)"), _ungrouped),
    (re.compile(rf"(?<![\d.,])\d+\.\d{{3}}(?:{_GAP}\d{{3}})*{_GAP}\d{{1,3}}(?!\d)"), _ungrouped),
    (
        re.compile(r"(?<=frac\{)\s*-?[1-9]\d{0,2}(?:,\d{3})+\s*(?=\})"),
        lambda match: match.group().replace(",", ""),
    ),
    (
        re.compile(r"(?:(?<=\}\{)|(?<=sqrt\{)|(?<=\^\{)|(?<=/))\s*-?[1-9]\d{0,2}(?:,\d{3})+(?=\s*(?:\}|$))"),
        lambda match: match.group().replace(",", ""),
    ),
    (
        re.compile(r"^(?:[^,(\[{]*=)?\s*(?:-|\\pm|\\?\$)?\s*[1-9]\d{0,2}(?:,\d{3})+(?=[^\d,][^,]*$)"),
        lambda match: match.group().replace(",", ""),
    ),
    # No number of a list begins with a zero.
    (
        re.compile(r"(?<![\d.,])[1-9]\d{0,2}(?:,\d{3})+(?!\d|,\d)(?:(?=.*\d,0\d\d(?!\d))|(?<=,0\d\d))"),
        lambda match: match.group().replace(",", ""),
    ),
    (re.compile(r"(?<![\d.,])[1-9]\d{0,2}(?:\.\d{3}){2,}(?![\d.,])"), lambda match: match.group().replace(".", "")),
    (re.compile(r"^\s*(-?\d+(?:\.\d+)?)[eE]\+?(-?\d+)\s*$"), r"\1\\cdot 10^{\2}"),
    # Repeating decimals.
    (
        re.compile(
            r"(?P<whole>\d+)\.(?P<once>\d*)(?:\\(?:overline|bar|dot)\s*\{\s*(?P<again>\d+)\s*\}|\\dot\s*(?=\d))(?!\d|\\(?!%))"
        ),
        lambda match: _repeating(match) if match.group("again") else match.group(),
    ),
    (re.compile(r"(?P<whole>\d+)\.(?P<once>\d*)\((?P<again>\d+)\)(?![\d\\^])"), _repeating),
    (
        re.compile(r"(?P<whole>\d+)\.(?P<once>\d*)(?P<again>\\dot\{?\d\}?\d*\\dot\{?\d\}?)(?!\d|\\(?!%))"),
        _repeating,
    ),
    (re.compile(r"(?P<whole>\d+)\.(?P<once>\d*)(?P<again>\\(?:dot|bar|overline)\s*\d)(?!\d|\\(?!%))"), _repeating),
    (re.compile(r"(?P<whole>\d+)\.(?P<digits>\d+)\s*\\ldots\s*$"), _repeating_dots),
    # Ratios in words.
    (re.compile(r"(?<=\d)\s*(?:\\text\s*\{\s*to\s*\}|(?<=\s)to(?=\s))\s*(?=\d)"), ":"),
    # Mixed numbers, and words for powers of ten.
    (re.compile(rf"^(\s*-?\d+){_SPACE}+(\d+)/(\d+)(?=\s*$)"), r"\1\\frac{\2}{\3}"),
    (re.compile(rf"(?<![\w.,^}}!])(\d{{1,9}}){_SPACE}*\\frac\{{(\d{{1,9}})\}}\{{(\d{{1,9}})\}}"), _improper),
    (
        re.compile(rf"(?<=\d)\s*(?:\\text\{{\s*({'|'.join(_SCALES)})\s*(.*?)\}}|({'|'.join(_SCALES)})\b)"),
        lambda match: (
            rf"\cdot 10^{{{_SCALES[match.group(1) or match.group(3)]}}}"
            + (rf"\text{{ {match.group(2)}}}" if match.group(2) else "")
        ),
    ),
    # A number and its unit within words, and the end of a sentence there.
    (re.compile(r"^\s*\\text\s*\{\s*(-?\\?\$?[\d.,]*\d)\s+([a-zA-Z]+\.?)\s*\}\s*$"), r"\1\\text{ \2}"),
    (re.compile(r"^\s*\\text\s*\{([^{}]*[^{}.])[.,;:]\s*\}\s*$"), r"\\text{\1}"),
    (re.compile(r"(\\text\s*\{[^{}]*[a-z]\})\s*!$"), r"\1"),
    # Sets: of all numbers, with braces of their own, and the empty one.
    (re.compile(r"^\s*(?:\\text\s*\{\s*)?(?:all|any|every)\s+reals?(?:\s+numbers?)?\s*\}?\s*$"), r"\\mathbb{R}"),
    (re.compile(r"^\s*\\mathbb\{R\}\s*_\{?\s*\\ge\s*0\s*\}?\s*$"), r"[0,\\infty)"),
    (re.compile(r"^\s*\\mathbb\{R\}\s*(?:_\{?\s*>\s*0\s*\}?|[_^]\{?\+\}?)\s*$"), r"(0,\\infty)"),
    (re.compile(r"^\s*\{(\s*\\?[a-zA-Z]+\s*(?:\\in[^|:]*)?(?:\\mid(?![a-zA-Z])|\||:).*)\}\s*$"), r"\\{\1\\}"),
    (
        re.compile(r"^\s*\\text\s*\{\s*[Nn]o\s+such\s*\}\s*[a-z]\s*\\text\s*\{\s*exists?\s*\}\s*$"),
        r"\\emptyset ",
    ),
    (re.compile(r"\\(?:varnothing|O)(?![a-zA-Z])|\\\{(?:\s|\\[,;:! ])*\\\}"), r"\\emptyset "),
    (re.compile(rf"^\s*(?:\\text\s*\{{\s*)?(?:{_NAMES_OF_NOTHING})\s*\}}?\s*$", re.IGNORECASE), r"\\emptyset "),
    # Bases in words: 1021 (base 3), 1021_{\text{three}}.
    (
        re.compile(rf"(?<=[\dA-F]){_SPACE}*(?:\\text\s*\{{\s*)?\(?\s*(?:in\s+)?base[\s-]*(?:\}}\s*)?(?:\{{?\$?)(\w+)\$?\)?\s*\}}?\s*\)?"),
        lambda match: f"_{{{_NUMBER_WORDS.get(match.group(1).lower(), match.group(1))}}}",
    ),
    (
        re.compile(r"(?<=[\dA-F)])_\{?\\text\s*\{\s*(?:base\s*)?(\w+)\s*\}\}?"),
        lambda match: f"_{{{_NUMBER_WORDS.get(match.group(1).lower(), match.group(1))}}}",
    ),
    (re.compile(r"\(([\dA-F]+)\)_"), r"\1_"),
    (re.compile(r"\\(?:text|overline|underline)\s*\{\s*([\dA-Fa-f]+)\s*\}\s*_"), r"\1_"),
    (re.compile(r"^\s*[\da-f]{2,}_\{?1[1-6]\}?\s*$"), lambda match: match.group().upper()),
    (re.compile(r"^\s*(?:\\text\s*\{\s*)?DNE\s*\}?\s*$"), r"\\text{does not exist}"),
    # Brackets of vectors, and intervals and tuples the French way.
    (re.compile(r"\\langle(?![a-zA-Z])([^|]*?,[^|]*?)\\rangle(?![a-zA-Z])"), r"(\1)"),
    (re.compile(r"(?<=[(\[])[^,;()\[\]]+(?:;[^,;()\[\]]+)+(?=[)\]])"), lambda match: match.group().replace(";", ",")),
    (re.compile(r"^\s*\]([^\[\]()]*[,;][^\[\]()]*)\[\s*$"), r"(\1)"),
    (re.compile(r"^\s*\[([^\[\]()]*[,;][^\[\]()]*)\[\s*$"), r"[\1)"),
    (re.compile(r"^\s*\]([^\[\]()]*[,;][^\[\]()]*)\]\s*$"), r"(\1]"),
    # Degrees are degrees, however they are written.
    (re.compile(_SIGN_OF_DEGREES), r"^\\circ "),
    # A product of numbers in brackets is no mixed number.
    (re.compile(r"(?<![_\d.])(\d+(?:\.\d+)?)\s*\((?!\s*\\?(?:[pb]?mod|text))"), r"\1\\cdot ("),
    (re.compile(r"\)\s*\("), r")\\cdot ("),
    (re.compile(r"\\operatorname\*?\s*\{\s*(max|min|sup|inf|gcd|lcm|mod|sin|cos|tan|ln|log)\s*\}"), r"\\\1 "),
)  # fmt: skip

_TRIGONOMETRY = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![a-zA-Z])|\{\s*cis\s*\}|\\cis(?![a-zA-Z])")
_ARGUMENT = r"\\frac\{[^{}]*\}\{[^{}]*\}|\((?:[^()]|\([^()]*\))*\)"
_CIS = re.compile(rf"\\?(?:operatorname|text)?\s*\{{?\s*cis\s*\}}?{_SPACE}*({_ARGUMENT}|\\?\w+)")
_OF_DEGREES = re.compile(rf"(\d+(?:\.\d+)?|\\?[a-zA-Z]+|{_ARGUMENT})\s*\^\\circ(?![a-zA-Z])\s*")

# What encloses a whole answer and means nothing. `$` is no delimiter after a backslash, and not in pairs within.
_ENCLOSING = re.compile(
    r"(?:\$\$?([^$]*)\$\$?|\\\(((?:(?!\\\)).)*)\\\)|\\\[((?:(?!\\\]).)*)\\\]|\*\*([^*]*)\*\*|[“\"]([^“”\"]*)[”\"]|``([^`']*)'')",
    re.DOTALL,
)
_BEGINNING = re.compile(r"^(?:[:=]\s*)+")
# The end of a sentence, or white space: not the end of an ellipsis. A `!` is a factorial.
_SENTENCE_END = re.compile(r"(?:(?<![.\\])[.,;:]|(?<!\\)\\[,;:!]|\\text\s*\{\s*[.,;:]?\s*\}|\\+)$")


def normalised(text: str) -> str:
    """The same answer in the one spelling that answers are compared in; equal texts have equal spellings."""
    text = _bare(text.strip()).translate(_TRANSLATION)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    if _TRIGONOMETRY.search(text):
        text = _CIS.sub(r"e^{i\1}", in_radians(text))
    return _bare(" ".join(text.split()))


def tidy(text: str) -> str:
    """The text as it is written, without commas that group digits and without the end of a sentence."""
    return _bare(_GROUPS.sub(_ungrouped, text.strip()))


def in_radians(text: str) -> str:
    """The text with π/180 for each degree sign of a normalised text."""
    return _OF_DEGREES.sub(r"(\\frac{\1\\pi}{180})", text)


def _bare(text: str) -> str:
    """Without what encloses the whole answer, and without the end of its sentence."""
    while True:
        bare = _BEGINNING.sub("", _SENTENCE_END.sub("", text).strip())
        if enclosed := _ENCLOSING.fullmatch(bare):
            bare = next(part for part in enclosed.groups() if part is not None).strip()
        if bare == text:
            return text
        text = bare
