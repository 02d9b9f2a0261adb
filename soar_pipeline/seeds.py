"""Seeds of everything random, derived from the run's seed and what the seed is for."""

import hashlib


def derive(seed: int, *purpose: str | int) -> int:
    """A 31-bit seed that depends only on its arguments, not on the order in which work is done."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") & 0x7FFFFFFF
