r"""What stands around a value: the name that it is given, and for which arguments it holds."""

import re
from dataclasses import dataclass

from soar_pipeline.grading.lists import AND_OR, split, tokens

_SUBSCRIPT = re.compile(r"_(?:\{(?:[^{}]|\{[^{}]*\})*\}|\\?[a-zA-Z]+|\d)")
_ARGUMENTS = re.compile(r"\([^()=<>]*\)|\\\{[^{}=<>]*\\\}|\^\{-1\}|\^\{?\\(?:prime|ast)\}?|'|\\text\s*\{[^{}]*\}")
_NAME = re.compile(r"(?:[a-zA-Z|\s{}\[\]:]|\\#|\\(?!sqrt|l[et]|g[et]|ne|pm|mp|pi|infty|cdot|times|div)[a-zA-Z]+)*")
_ANSWER_IS = re.compile(
    r"^\s*(?:\\text\s*\{[^{}]*(?:\b(?:is|are|equals)\s*:?|:)\s*\}\s*:?|(?:the\s+)?(?:final\s+)?answer\s*(?::|is\b|=)(?:\s*:)?)\s*",
    re.IGNORECASE,
)
# The letter of a choice before its value, as in `\text{(D)}\ 8`.
_LETTER = re.compile(
    r"^\s*(?:\\text\s*\{\s*\(?[A-E][).:]+\s*\}|\([A-E]\)(?=[\s~\\]+(?:[-\d$]|frac|sqrt)))"
    r"(?:\s|~|\\[ ,;:]|\\q?quad)*(?=\S)"
)

_HEAD = r"(?:\\forall(?![a-zA-Z])|\\text\s*\{[\s,(]*(?:for|where|with|if|when|whenever)\b)"
_AT_END = re.compile(
    rf"(?P<body>.+?)(?:[\s,;(]|\\q?quad|\\[ ,;:])*"
    rf"(?P<domain>{_HEAD}.*|(?<=[,\s])\\?[a-zA-Z]\s*\\in(?![a-zA-Z]).*)",
    re.DOTALL,
)
_AT_START = re.compile(
    rf"\s*(?P<domain>{_HEAD}(?:\\text\s*\{{[^{{}}]*\}}|[^,:])*?\}}?)\s*[,:]\s*(?P<body>.+)", re.DOTALL
)
_SETS = {
    "R": r"\\mathbb\{R\}|real\s+numbers?|reals?",
    "Z": r"\\mathbb\{Z\}|integers?",
    "Q": r"\\mathbb\{Q\}|rational\s+numbers?",
    "N": r"\\mathbb\{N\}|(?:positive|non-?negative)\s+integers?|natural\s+numbers?",
}
_FILLING = re.compile(
    r"\\forall|\\text|\\in|\\mathbb\{[A-Z]\}(?:\^\{?[+*]\}?|_\{?[+*]\}?|_\{?(?:>|\\ge)\s*0\}?)?|[{}(),.\s]"
)
# A name with an argument or an index.
_DEPENDENT = re.compile(r"(?P<function>\\?[a-zA-Z]+)[(_](?P<of>[a-z])\)?")
# Words of a domain that is a whole set, or of a constant that is arbitrary: they take nothing away.
_WORDS = re.compile(
    r"for|where|with|all|every|each|any|some|is|are|an?|be|the|of|and|numbers?|reals?|integers?|positive|natural|rational"
    r"|non-?negative|constants?|arbitrary|values?|fixed|\\?[a-zA-Z](?:_\w+)?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Statement:
    """`name` = `value` for the arguments in `domain`; name and domain are empty if nothing is said of them.

    `limits`: whether the domain is more than the name of all numbers of a kind, as x < 0 is.
    """

    name: str
    value: str
    domain: str
    limits: bool


def statement(text: str) -> Statement:
    """What a text says, taken apart."""
    text = _ANSWER_IS.sub("", text) or text
    body, domain = _without_domain(_LETTER.sub("", text))
    name, value = _named(body)
    return Statement(name, value, _domain_name(domain), _limits(domain))


def domains_agree(gold: Statement, answer: Statement) -> bool:
    """Whether the two hold for the same arguments; not to say "for all x" says it."""
    if gold.domain and answer.domain:
        return gold.domain == answer.domain
    return not (gold.limits or answer.limits)


def with_argument_of(answer: Statement, gold: Statement) -> Statement:
    """The answer with the gold's letter for its argument or index: `f(t) = t^2` says what `f(x) = x^2` says."""
    ours, theirs = (_DEPENDENT.fullmatch(canonical(side.name)) for side in (gold, answer))
    if not (ours and theirs) or ours["of"] == theirs["of"] or ours["function"] != theirs["function"]:
        return answer
    letters = [token for token, _ in tokens(answer.value)]
    if ours["of"] in letters or theirs["of"] not in letters:
        return answer
    value = "".join(ours["of"] if letter == theirs["of"] else letter for letter in letters)
    return Statement(gold.name, value, answer.domain, answer.limits)


def is_equation(text: str) -> bool:
    return len(equated(text)) > 1


def equated(text: str) -> list[str]:
    """The sides of the equals signs outside of brackets."""
    sides = split(text, "=")
    return [side.rstrip(":").strip() for side in sides]


def _without_domain(text: str) -> tuple[str, str]:
    for pattern in (_AT_START, _AT_END):
        if match := pattern.fullmatch(text):
            return match["body"].strip(" ,;("), match["domain"]
    return text, ""


def _limits(domain: str) -> bool:
    rest = _FILLING.sub(" ", domain).split()
    return not all(map(_WORDS.fullmatch, rest))


def _domain_name(domain: str) -> str:
    """The set that a domain names, or all that it says; empty for "all x" and the like."""
    if _limits(domain):
        return "".join(domain.split())
    names = [name for name, pattern in _SETS.items() if re.search(pattern, domain)]
    return "".join(names[-1:]) + ("+" if re.search(r"\^\{?\+|_\{?\+|_\{?>|positive\s+real", domain) else "")


def _named(body: str) -> tuple[str, str]:
    """Name and value of `x = 7`, and of `x = 7 \\text{ or } x = 8`, whose value is the list `7, 8`."""
    parts = split(AND_OR.sub(", ", body), ",")
    sides = [equated(part) for part in parts]
    if len(parts) == 1 and len(sides[0]) == 2 and is_name(sides[0][1]) and not is_name(sides[0][0]):
        return sides[0][1], sides[0][0]
    if len(sides[0]) < 2 or not is_name(sides[0][0]):
        return "", body
    if all(len(side) == 1 for side in sides[1:]):
        return sides[0][0], body[body.index("=") + 1 :].strip()
    name = canonical(sides[0][0])
    if all(len(side) == 2 and canonical(side[0]) == name for side in sides):
        return sides[0][0], ", ".join(side[1] for side in sides)
    return "", body


def is_name(text: str) -> bool:
    """Whether a text is what values are called: `x`, `m_{\\max}`, `f(x)`, `\\angle ABC`, `(x, y)`; no sum."""
    bare = _ARGUMENTS.sub("", _SUBSCRIPT.sub("", text))
    letters = any(token.strip("\\")[:1].isalpha() for token, _ in tokens(text))
    return letters and _NAME.fullmatch(bare) is not None


def has_number(text: str) -> bool:
    """Whether there is a digit that is no index."""
    return any(map(str.isdecimal, _SUBSCRIPT.sub("", text)))


def canonical(name: str) -> str:
    """One spelling for a name; case does not count in words, nor does a roman font."""
    return re.sub(r"[a-zA-Z]{3,}", lambda word: word.group().lower(), re.sub(r"\\text|[\s{}:]", "", name))
