"""Owns what is signed at a close: the heads of the chains that moved since the close before, as one text.

UTF-8 with lines ended by "\\n" between them (none at the end), SHA-256 throughout, digests as lower-case hex:

    heads     = SHA-256 of  0pools-ledger-heads-1
                            <organization id> <sequence> <link>      one line for each, by organization id's bytes
    statement =             0pools-ledger-statement-1
                            <number>                                 1 for the first statement, and so on without a gap
                            <mode>
                            <close id>
                            <business date, YYYY-MM-DD>
                            <revision>
                            <number of heads>
                            <heads>
                            <SHA-256 of the statement before>        64 zeros for the first
                            <key id>
                            <signed at, RFC 3339 UTC with microseconds>
    signature = Ed25519 of  statement
    key id    =             the first 16 hex digits of the SHA-256 of the 32 bytes of the public key

A statement names its predecessor, so it stands for every head signed before it too, and none can be taken out unseen.
Source: contract section 8.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Any, Final, NamedTuple

_HEADS_HEAD: Final = "0pools-ledger-heads-1"
_STATEMENT_HEAD: Final = "0pools-ledger-statement-1"
KEY_ID_LENGTH: Final = 16
NOTHING_BEFORE: Final = bytes(32)
"""What the first statement names as the one before."""


class Close(NamedTuple):
    """For what the heads are signed."""

    close_id: str
    business_date: date
    revision: int


class Head(NamedTuple):
    """The last link of an organization's chain at some moment."""

    organization_id: str
    sequence: int
    link: bytes


class Statement(NamedTuple):
    """What a signature says."""

    number: int
    mode: str
    close: Close
    head_count: int
    heads_digest: bytes
    previous: bytes
    """The digest of the statement before."""
    key_id: str
    signed_at: datetime

    @property
    def text(self) -> bytes:
        """The bytes that are signed."""
        lines = (
            _STATEMENT_HEAD,
            str(self.number),
            self.mode,
            self.close.close_id,
            self.close.business_date.isoformat(),
            str(self.close.revision),
            str(self.head_count),
            self.heads_digest.hex(),
            self.previous.hex(),
            self.key_id,
            self.signed_at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        )
        return "\n".join(lines).encode()

    @property
    def digest(self) -> bytes:
        """What the next statement names."""
        return sha256(self.text).digest()


class SignedStatement(NamedTuple):
    """A statement and its signature of 64 bytes."""

    statement: Statement
    signature: bytes


class HeadsDigest:
    """The digest of heads that come one after the other, so that they never have to be in memory at once."""

    def __init__(self) -> None:
        self._hash: Any = sha256(_HEADS_HEAD.encode())
        self.count = 0

    def add(self, heads: Iterable[Head]) -> None:
        """Takes further heads, in the order of their organizations' bytes."""
        for head in heads:
            self._hash.update(f"\n{head.organization_id} {head.sequence} {head.link.hex()}".encode())
            self.count += 1

    @property
    def digest(self) -> bytes:
        """Of all that were added."""
        made: bytes = self._hash.digest()
        return made


def key_id_of(public_key: bytes) -> str:
    """The short name of a public key, from its 32 raw bytes."""
    return sha256(public_key).hexdigest()[:KEY_ID_LENGTH]
