"""Owns who may post webhooks: a source's name, the kinds it may send, and how it signs."""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from poolkit.errors import InvalidRequest
from webhook_ingest.domain.events import TRADE_KINDS, Kind, kind_of

OVERLAP_SECONDS_MAX: Final = 604_800
ACTIVE_SECRETS_MAX: Final = 8
"""Each is tried on every webhook, so rotations that overlap are bounded."""

_NAME: Final = re.compile(r"[a-z0-9-]{1,64}")
_HEADER: Final = re.compile(r"[a-z0-9-]{1,64}")
_SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - the prefix is public
_KEY_BYTES: Final = range(24, 65)
_PLAIN_SECRET: Final = re.compile(r"[\x21-\x7e]{16,256}")
_HEADERS_BY_DEFAULT: Final = {"standard": "", "timed_hex": "webhook-signature", "hex": "webhook-signature"}


class Scheme(StrEnum):
    """How a source signs. Source: contract section 7."""

    STANDARD = "standard"
    """Standard Webhooks: `webhook-id`, `webhook-timestamp`, `webhook-signature`."""
    TIMED_HEX = "timed_hex"
    """One header `t=<unix>,v1=<hex>`: HMAC-SHA256 of `t.body`."""
    HEX = "hex"
    """One header with the hex HMAC-SHA256 of the body. It signs no time; repeats are the event id's business."""


@dataclass(frozen=True, slots=True)
class Source:
    """Someone who may post webhooks, without the secrets."""

    name: str
    kinds: tuple[Kind, ...]
    scheme: Scheme
    signature_header: str
    """Lower case; empty where the scheme names its own headers."""
    created_at: datetime
    active_secret_count: int

    @property
    def path(self) -> str:
        """Where its webhooks are posted to, below the service's address."""
        return f"/v1/webhooks/{self.name}"


@dataclass(frozen=True, slots=True)
class NewSource:
    """A source to make, checked."""

    name: str
    kinds: tuple[Kind, ...]
    scheme: Scheme
    signature_header: str


def new_source(name: str, kinds: Sequence[str], scheme: Scheme, signature_header: str) -> NewSource:
    """Checks what was asked for; no kinds means every `trade.*` kind. Raises InvalidRequest, naming the field."""
    if _NAME.fullmatch(name) is None:
        raise InvalidRequest("it must be 1 to 64 of a-z, 0-9 and -.", field="name")
    header = signature_header.lower() or _HEADERS_BY_DEFAULT[scheme]
    if scheme is Scheme.STANDARD and header:
        raise InvalidRequest("Standard Webhooks names its own headers; leave it empty.", field="signature_header")
    if header and _HEADER.fullmatch(header) is None:
        raise InvalidRequest("it must be the name of an HTTP header.", field="signature_header")
    allowed = {kind_of(kind, field="kinds") for kind in kinds} or set(TRADE_KINDS)
    return NewSource(name, tuple(kind for kind in Kind if kind in allowed), scheme, header)


def check_secret(secret: str, scheme: Scheme) -> None:
    """Refuses a secret its scheme cannot use, or that can be guessed. Raises InvalidRequest, which shows none of it."""
    if scheme is not Scheme.STANDARD:
        if _PLAIN_SECRET.fullmatch(secret) is None:
            raise InvalidRequest("it must be 16 to 256 printable characters without a space.", field="secret")
        return
    try:
        key = base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(_SECRET_PREFIX) or len(key) not in _KEY_BYTES:
        raise InvalidRequest(f"it must be {_SECRET_PREFIX} and the base64 of 24 to 64 bytes.", field="secret")
