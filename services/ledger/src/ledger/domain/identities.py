"""Owns the ids the ledger derives: transactions and entries from the event, holds from the trade.

A transaction id is a ULID whose time is the event's and whose other 80 bits are its hash: it sorts by time, and the
same event always gives the same id. Entry ids carry their transaction's, hold ids their trade's, so each leads back to
its row without an index of its own. Source: contract section 3, architecture section 3.6.
"""

from functools import lru_cache
from hashlib import sha256
from typing import Final

_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS: Final = tuple(high + low for high in _CROCKFORD for low in _CROCKFORD)
_TIME_MAX: Final = 2**48 - 1

TRANSACTION: Final = "ledger_"
ENTRY: Final = "le_"
HOLD: Final = "hold_"
TRADE: Final = "pt_"
_ULID_LENGTH: Final = 26


def transaction_id(event_id: str, occurred_ms: int, part: int = 0) -> str:
    """`ledger_…` of the event's first (`part` 0) or second (1) transaction. SHA-256 of `<event id>:<part>` feeds it."""
    bits = int.from_bytes(sha256(f"{event_id}:{part}".encode()).digest()[:10])
    return (
        f"ledger_{_time_text(occurred_ms)}{_PAIRS[bits >> 70]}{_PAIRS[bits >> 60 & 1023]}{_PAIRS[bits >> 50 & 1023]}"
        f"{_PAIRS[bits >> 40 & 1023]}{_PAIRS[bits >> 30 & 1023]}{_PAIRS[bits >> 20 & 1023]}"
        f"{_PAIRS[bits >> 10 & 1023]}{_PAIRS[bits & 1023]}"
    )


@lru_cache(maxsize=4096)
def _time_text(milliseconds: int) -> str:
    bounded = min(max(milliseconds, 0), _TIME_MAX)
    return "".join([_PAIRS[bounded >> shift & 1023] for shift in (40, 30, 20, 10, 0)])


def occurred_ms(transaction: str) -> int:
    """When the event behind a transaction id happened, in Unix milliseconds."""
    milliseconds = 0
    for character in transaction[len(TRANSACTION) : len(TRANSACTION) + 10]:
        milliseconds = milliseconds << 5 | _CROCKFORD.index(character)
    return milliseconds


def entry_id(transaction: str, leg_number: int | str) -> str:
    """`le_…`: the transaction's ULID and the number of the leg."""
    return f"le_{transaction[7:]}{leg_number}"


def transaction_of_entry(entry: str) -> tuple[str, int] | None:
    """The transaction id and leg number in an entry id; None for anything else."""
    ulid, leg = entry[len(ENTRY) : -1], entry[-1:]
    if entry.startswith(ENTRY) and len(ulid) == _ULID_LENGTH and leg.isdecimal() and leg.isascii():
        return TRANSACTION + ulid, int(leg)
    return None


def hold_id(trade_id: str) -> str:
    """`hold_test_…` for `pt_test_…`."""
    return HOLD + trade_id.removeprefix(TRADE)


def trade_of_hold(hold: str) -> str:
    """The trade a hold id was made for; empty for anything but a hold id."""
    return TRADE + hold.removeprefix(HOLD) if hold.startswith(HOLD) else ""
