"""Owns where a page of trades begins: behind the last trade shown, so that inserts never shift a page."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from poolkit import page_tokens
from poolkit.errors import InvalidRequest

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_PLACE: Final = re.compile(r"([1-9][0-9]{0,16}):(pt_[0-9A-Za-z_]{1,64})").fullmatch


class Position(NamedTuple):
    """The place of a trade in a list by age; it stays the same for good, whatever becomes of the trade."""

    created_at: datetime
    trade_id: str
    """Tells those apart that were created at the same moment."""


def make(last: Position, *of_list: str) -> str:
    """The token of the page that follows `last` in the list that `of_list` tells from all others."""
    return page_tokens.make(f"{(last.created_at - _EPOCH) // _MICROSECOND}:{last.trade_id}", *of_list)


def read(token: str, *of_list: str) -> Position:
    """The place a token of this list was made of. Raises InvalidRequest for anything else."""
    match = _PLACE(page_tokens.read(token, *of_list))
    if match is None:
        raise InvalidRequest("it is not a token of this list.", field="page_token")
    return Position(_EPOCH + int(match[1]) * _MICROSECOND, match[2])
