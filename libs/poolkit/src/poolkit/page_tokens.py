"""Owns page tokens of lists: opaque, URL-safe, and good for the one list they were made for.

A token is a place and a digest of the list it lies in: whose, of what, narrowed how. With another organization, another
filter, another list or another character it is refused by name, instead of leading to some place nobody meant. The
digest guards against mistakes and is no secret: whoever makes a token up reaches no rows but their own.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Final

from poolkit.errors import InvalidRequest

_DIGEST_BYTES: Final = 9


def make(place: str, *of_list: str) -> str:
    """The token of the page that begins behind `place` (ASCII) in the list that `of_list` tells from all others."""
    return base64.urlsafe_b64encode(_digest(place, of_list) + place.encode("ascii")).decode().rstrip("=")


def read(token: str, *of_list: str) -> str:
    """The place that a token of this very list was made of. Raises InvalidRequest for any other token."""
    try:
        padded = token.encode("ascii") + b"=" * (-len(token) % 4)
        place = base64.b64decode(padded, altchars=b"-_", validate=True)[_DIGEST_BYTES:].decode("ascii")
    except (binascii.Error, UnicodeError):
        place = ""
    # Made anew, since base64 spells some bytes in more than one way.
    if not place or make(place, *of_list) != token:
        raise InvalidRequest(
            "it is not a token of this list; take it from the page before, with the same filters.", field="page_token"
        )
    return place


def _digest(place: str, of_list: tuple[str, ...]) -> bytes:
    parts = "".join(f"{len(part)}:{part}" for part in (*of_list, place))
    return hashlib.blake2s(parts.encode(), digest_size=_DIGEST_BYTES).digest()
