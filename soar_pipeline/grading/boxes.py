"""The answer that a completion commits to: the content of its last box."""

_OPEN = "\\boxed{"


def last_boxed(text: str) -> str | None:
    r"""Content of the last ``\boxed{…}`` with balanced braces, stripped; None where there is none.

    A last box that is never closed hides the ones before it: the completion's last word was cut off.
    Escaped braces (``\{``) do not count. Linear in the length of the text.
    """
    start = text.rfind(_OPEN)
    if start < 0:
        return None
    begin = start + len(_OPEN)
    depth, position = 1, begin
    while position < len(text):
        character = text[position]
        if character == "\\":
            position += 2
            continue
        if character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if depth == 0:
                return text[begin:position].strip()
        position += 1
    return None
