"""Owns page tokens: opaque and URL-safe, made of the last id shown, so that inserts never shift a page."""

from __future__ import annotations

import base64
import binascii

from poolkit.errors import InvalidRequest


def make(last_id: str) -> str:
    """The token of the page that follows `last_id`."""
    return base64.urlsafe_b64encode(last_id.encode()).decode().rstrip("=")


def read(token: str) -> str:
    """The id a token was made of. Raises InvalidRequest for anything else."""
    try:
        padded = token.encode("ascii") + b"=" * (-len(token) % 4)
        last_id = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, UnicodeError):
        last_id = ""
    if not last_id.startswith("pt_") or make(last_id) != token:
        raise InvalidRequest("it is not a token of this list; take it from the page before.", field="page_token")
    return last_id
