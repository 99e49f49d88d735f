"""Owns how lists for operations are cut into pages: the token of the next."""

import base64
import binascii

from poolkit.errors import InvalidRequest


def to_token(last: str) -> str:
    """What leads behind the last row of a page."""
    return base64.urlsafe_b64encode(last.encode()).decode().rstrip("=")


def from_token(token: str) -> str:
    """The row behind which a page begins; empty for the first page. Raises InvalidRequest."""
    try:
        text = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        text = "\x00"
    if not (text.isprintable() and len(text) <= 128):
        raise InvalidRequest("it is not a token of an earlier page; send it as it was given.", field="page_token")
    return text
