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
# Only the first letters are consumed: where noise runs into a key, the key is not taken for the end of the noise.
_NARROW = re.compile(rb"sk_(?=((?:test|live)_[A-Za-z0-9]{38}))")
_WIDE = re.compile(rb"s\0k\0_\0(?=((?:t\0e\0s\0t|l\0i\0v\0e)\0_\0(?:[A-Za-z0-9]\0){37}[A-Za-z0-9]))")
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
    for pattern in _worth_trying(window):
        for found in pattern.finditer(window):
            key = (found[0] + found[1]).replace(b"\0", b"").decode("ascii")
            if key_checksum_ok(key):
                yield Match(key, line + window.count(b"\n", 0, found.start()))


def _worth_trying(window: bytes) -> Iterator[re.Pattern[bytes]]:
    # Most bytes hold no key: fast searches decide, and text without a NUL holds no UTF-16.
    if b"sk_test_" in window or b"sk_live_" in window:
        yield _NARROW
    if b"\0" in window and b"s\0k\0" in window:
        yield _WIDE


def redacted(key: str) -> str:
    """Enough to know it again by, too little to use it."""
    return f"{key[:12]}…{key[-4:]}"
