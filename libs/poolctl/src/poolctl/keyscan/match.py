"""Owns telling a secret key from noise in a stream of bytes, whatever its encoding, in bounded memory.

A key is minted with a checksum, so neither an example in a text nor a random word is taken for one.
Source: CONTRACT §4.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from poolkit.security import key_checksum_ok

KEY_LENGTH = len("sk_test_") + 38
# ASCII and UTF-8; UTF-16 either way round, as in Windows binaries and .strings files of mobile apps.
_NARROW = re.compile(rb"sk_(?:test|live)_[A-Za-z0-9]{38}")
_WIDE = re.compile(rb"s\0k\0_\0(?:t\0e\0s\0t|l\0i\0v\0e)\0_\0(?:[A-Za-z0-9]\0){37}[A-Za-z0-9]")
_OVERLAP_BYTES = 2 * KEY_LENGTH


@dataclass(frozen=True, slots=True)
class Match:
    """A key and how many line breaks stand before it."""

    key: str
    line: int


def find_keys(chunks: Iterable[bytes]) -> Iterator[Match]:
    """Every secret key in the bytes, also where it lies across two chunks, once for each line."""
    kept, line = b"", 1
    seen: set[tuple[str, int]] = set()
    for chunk in chunks:
        window = kept + chunk
        for match in _matches(window, line):
            if (match.key, match.line) not in seen:
                seen.add((match.key, match.line))
                yield match
        passed = max(0, len(window) - _OVERLAP_BYTES)
        line += window.count(b"\n", 0, passed)
        kept = window[passed:]


def _matches(window: bytes, line: int) -> Iterator[Match]:
    # Most bytes hold no key: one fast search decides.
    if b"sk_" not in window and b"s\0k\0" not in window:
        return
    for pattern in (_NARROW, _WIDE):
        for found in pattern.finditer(window):
            key = found[0].replace(b"\0", b"").decode("ascii")
            if key_checksum_ok(key):
                yield Match(key, line + window.count(b"\n", 0, found.start()))


def redacted(key: str) -> str:
    """Enough to know it again by, too little to use it."""
    return f"{key[:12]}…{key[-4:]}"
