"""Owns whether a raw body is its source's: the headers of each scheme, and the secrets in force."""

from collections.abc import Callable, Sequence
from typing import Final

from poolkit.errors import SignatureInvalid
from poolkit.security import verify_hex_signature, verify_pools_signature, verify_standard
from webhook_ingest.domain.sources import Scheme

Headers = Sequence[tuple[bytes, bytes]]
"""As ASGI has them: names in lower case, repeated ones repeated."""

_STANDARD_HEADERS: Final = frozenset({b"webhook-id", b"webhook-timestamp", b"webhook-signature"})


def verify(scheme: Scheme, signature_header: str, secrets: Sequence[str], headers: Headers, body: bytes) -> None:
    """Returns when the body was signed with a secret in force. Raises SignatureInvalid or TimestampStale.

    A header of the scheme that comes twice is no signature: which of the two was meant is anybody's guess.
    """
    _VERIFIERS[scheme](signature_header, secrets, headers, body)


def _standard(_: str, secrets: Sequence[str], headers: Headers, body: bytes) -> None:
    verify_standard(secrets, _once(headers, _STANDARD_HEADERS), body)


def _timed_hex(signature_header: str, secrets: Sequence[str], headers: Headers, body: bytes) -> None:
    given = _once(headers, frozenset({signature_header.encode()}))
    verify_pools_signature(secrets, given.get(signature_header, ""), body)


def _hex(signature_header: str, secrets: Sequence[str], headers: Headers, body: bytes) -> None:
    given = _once(headers, frozenset({signature_header.encode()}))
    verify_hex_signature(secrets, given.get(signature_header, ""), body)


_VERIFIERS: Final[dict[Scheme, Callable[[str, Sequence[str], Headers, bytes], None]]] = {
    Scheme.STANDARD: _standard,
    Scheme.TIMED_HEX: _timed_hex,
    Scheme.HEX: _hex,
}


def _once(headers: Headers, names: frozenset[bytes]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in headers:
        if name in names:
            text = name.decode("ascii")
            if text in found:
                raise SignatureInvalid
            found[text] = value.decode("latin-1")
    return found
