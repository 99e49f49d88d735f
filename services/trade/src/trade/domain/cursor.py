"""Owns page tokens: opaque and URL-safe, made of where the last trade shown stands, so that inserts never shift a page.

A token says where to go on and nothing else: with another filter or another organization it is a place in that list.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from poolkit.errors import InvalidRequest

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_TOKEN: Final = re.compile(r"([1-9][0-9]{0,16}):(pt_[0-9A-Za-z_]{1,64})").fullmatch


class Position(NamedTuple):
    """The place of a trade in a list by age; it stays the same for good, whatever becomes of the trade."""

    created_at: datetime
    trade_id: str
    """Tells those apart that were created at the same moment."""


def make(last: Position) -> str:
    """The token of the page that follows `last`."""
    text = f"{(last.created_at - _EPOCH) // _MICROSECOND}:{last.trade_id}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read(token: str) -> Position:
    """The place a token was made of. Raises InvalidRequest for anything else."""
    try:
        padded = token.encode("ascii") + b"=" * (-len(token) % 4)
        match = _TOKEN(base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii"))
    except (binascii.Error, UnicodeError):
        match = None
    position = Position(_EPOCH + int(match[1]) * _MICROSECOND, match[2]) if match is not None else None
    if position is None or make(position) != token:
        raise InvalidRequest("it is not a token of this list; take it from the page before.", field="page_token")
    return position
