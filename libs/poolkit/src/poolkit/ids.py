"""Identifiers: prefixed ULIDs that sort by creation, and ids derived from what they identify.

Source: contract section 3.
"""

import hashlib
import random
import re
import threading
import time
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

PREFIXES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "org": "organization",
        "key": "API key",
        "req": "request",
        "pq": "quote",
        "pt": "trade",
        "evt": "event",
        "whe": "ingested webhook",
        "whd": "outgoing delivery",
        "whk": "webhook endpoint",
        "ledger": "ledger transaction",
        "le": "ledger entry",
        "hold": "hold",
        "close": "daily close",
    }
)
"""What each prefix names."""

MODED_PREFIXES: Final = frozenset({"pq", "pt"})
"""Kinds whose ids carry `_test_` in test mode, so that a test id can never be taken for a live one."""

_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS: Final = tuple(high + low for high in _CROCKFORD for low in _CROCKFORD)
_HEADS: Final[dict[tuple[str, str | None], str]] = {
    **{(prefix, None): f"{prefix}_" for prefix in PREFIXES if prefix not in MODED_PREFIXES},
    **{(prefix, "test"): f"{prefix}_test_" for prefix in MODED_PREFIXES},
    **{(prefix, "live"): f"{prefix}_" for prefix in MODED_PREFIXES},
}
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
_SEPARATOR: Final = "\x1f"


class _Sequence:
    """The 80 bits behind the millisecond, rising within it, so that ids of one process sort in order of creation."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.millisecond = 0
        self.time_text = ""
        self.tail = 0

    def next(self) -> str:
        """The next ULID: 10 characters of time, 16 of randomness."""
        with self.lock:
            millisecond = time.time_ns() // 1_000_000
            if millisecond > self.millisecond:
                self.millisecond = millisecond
                self.time_text = _encode(millisecond, 5)
                # The top bit stays free for the steps below: 2^39 of the largest fit, so it cannot overflow. No secret
                # rests on it, and Python seeds `random` from the system, anew in a forked child.
                self.tail = random.getrandbits(79)
            else:
                # The same millisecond, or a clock set back: step on, by a random width, so that neighbours stay opaque.
                self.tail += random.getrandbits(40) + 1
            tail, time_text = self.tail, self.time_text
        return (
            f"{time_text}{_PAIRS[tail >> 70]}{_PAIRS[tail >> 60 & 1023]}{_PAIRS[tail >> 50 & 1023]}"
            f"{_PAIRS[tail >> 40 & 1023]}{_PAIRS[tail >> 30 & 1023]}{_PAIRS[tail >> 20 & 1023]}"
            f"{_PAIRS[tail >> 10 & 1023]}{_PAIRS[tail & 1023]}"
        )


def _encode(number: int, pairs: int) -> str:
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(10 * (pairs - 1), -1, -10)])


_sequence: Final = _Sequence()


def new_id(prefix: str, mode: str | None = None) -> str:
    """Mint an id: `new_id("req")` is `req_01J…`, `new_id("pq", "test")` is `pq_test_01J…`.

    Quotes and trades need the mode, other kinds take none. Ids of one process sort in the order they were minted.
    """
    try:
        head = _HEADS[prefix, mode]
    except KeyError:
        raise _refused_head(prefix, mode) from None
    return head + _sequence.next()


def first_id(prefix: str, moment: datetime) -> str:
    """The smallest id that `new_id(prefix)` may mint from this moment on: rows are found by when they were made."""
    millisecond = max(0, int(moment.timestamp() * 1000))
    return f"{prefix}_{_encode(millisecond, 5)}{_CROCKFORD[0] * 16}"


def derived_id(prefix: str, *parts: str, mode: str | None = None) -> str:
    """The id that these parts always give: the prefix and 130 bits of their SHA-256, in Crockford's base 32."""
    try:
        head = _HEADS[prefix, mode]
    except KeyError:
        raise _refused_head(prefix, mode) from None
    joined = _SEPARATOR.join(parts)
    if joined.count(_SEPARATOR) != len(parts) - 1:
        raise ValueError("A derived id needs parts, and none may hold the separator U+001F: ids could collide.")
    digest = hashlib.sha256(joined.encode()).digest()
    return head + _encode(int.from_bytes(digest[:17]) >> 6, 13)


def event_id(transact_id: str, event_type: str) -> str:
    """The id of a trade's event everywhere: hex SHA-256 of `<transactId>:<type>`, stable across retries and replays.

    Source: contract section 7.
    """
    return hashlib.sha256(f"{transact_id}:{event_type}".encode()).hexdigest()


def is_request_id(candidate: str) -> bool:
    """Whether a request may bring this id as its own: 1 to 128 of `A-Za-z0-9._-`."""
    return _REQUEST_ID.fullmatch(candidate) is not None


def accept_request_id(candidate: str | None) -> str:
    """The id the request brought if it may, else a new one."""
    return candidate if candidate and is_request_id(candidate) else new_id("req")


def _refused_head(prefix: str, mode: str | None) -> ValueError:
    if prefix not in PREFIXES:
        return ValueError(f"No id starts with {prefix!r}; PREFIXES lists those that exist.")
    if prefix in MODED_PREFIXES:
        return ValueError(f"A {PREFIXES[prefix]} id needs the mode, `test` or `live`, not {mode!r}.")
    return ValueError(f"A {PREFIXES[prefix]} id carries no mode; leave {mode!r} out.")
