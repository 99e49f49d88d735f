"""Owns what a close says of one exception: its kind, all ids, the amounts on every side, and how it is told apart."""

import json
from collections.abc import Iterable
from hashlib import sha256
from typing import Final, NamedTuple

from ledger.domain.amounts import text_of
from ledger.domain.close.facts import Amount
from ledger.domain.close.kinds import Kind

TRADE: Final = "trade"
LEDGER: Final = "ledger"
REPORT: Final = "report"
HOLD: Final = "hold"
QUOTE: Final = "quote"


class Ids(NamedTuple):
    """Whom and what it concerns; what is not known is empty. The names are those of the API's ExceptionIds."""

    organization_id: str = ""
    trade_id: str = ""
    quote_id: str = ""
    event_id: str = ""
    webhook_id: str = ""
    source: str = ""
    provider_event_id: str = ""
    ledger_transaction_id: str = ""
    hold_id: str = ""
    pool_id: str = ""
    request_id: str = ""
    client_reference: str = ""
    bank_transaction_id: str = ""
    funding_reference: str = ""

    @property
    def known(self) -> dict[str, str]:
        """Those that are known, by name."""
        return {name: value for name, value in zip(self._fields, self, strict=True) if value}


class Sided(NamedTuple):
    """One amount as one side knows it; None where that side knows none."""

    side: str
    of: str
    amount: Amount | None


class Finding(NamedTuple):
    """An exception, before it has a number in a close."""

    kind: Kind
    ids: Ids
    description: str
    amounts: tuple[Sided, ...] = ()
    occurred_ms: int = 0

    @property
    def fingerprint(self) -> bytes:
        """The same as long as nothing about it changes: of kind, ids and amounts, not of words and times."""
        said = [str(self.kind), self.ids.known, [_said(sided) for sided in self.amounts]]
        return sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).digest()

    @property
    def unmatched(self) -> bool:
        """Whether ids alone found no counterpart, so that another exception may be it."""
        return self.kind in UNMATCHED


UNMATCHED: Final = frozenset(
    {
        Kind.TERMINAL_TRADE_WITHOUT_POSTING,
        Kind.POSTING_WITHOUT_TERMINAL_TRADE,
        Kind.RESERVED_TOO_LONG,
        Kind.EVENT_NOT_PROCESSED,
        Kind.EVENT_ID_REUSED,
        Kind.RETURNED_WITHOUT_SETTLED,
        Kind.PAYIN_WITHOUT_KNOWN_REFERENCE,
    }
)
"""Kinds that lack a counterpart, and may be each other's."""


class FindingsHash:
    """The hash of findings that come one after the other, so that they never have to be in memory at once."""

    def __init__(self) -> None:
        self._hash = sha256(b"0pools-close-exceptions-1")
        self.count = 0

    def add(self, findings: Iterable[Finding]) -> None:
        """Takes further findings, in the order of the close."""
        for finding in findings:
            self._hash.update(finding.fingerprint)
            self.count += 1

    @property
    def digest(self) -> bytes:
        """Of all that were added."""
        return self._hash.digest()


def said_amount(amount: Amount | None) -> str:
    """For sentences: `100.00 EUR`, or `nothing`."""
    return f"{text_of(amount.units, amount.currency)} {amount.currency}" if amount else "nothing"


def _said(sided: Sided) -> list[str]:
    return [sided.side, sided.of, said_amount(sided.amount)]
