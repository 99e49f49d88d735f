"""Owns what providers and banks may tell: the kinds, their fields, and when two tellings are the same."""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from poolkit.errors import InvalidRequest
from poolkit.money import CRYPTO, FIAT, format_amount, parse_amount


class Kind(StrEnum):
    """What an event may be about. Source: contract section 7."""

    TRADE_SETTLED = "trade.settled"
    TRADE_FAILED = "trade.failed"
    TRADE_RELEASED = "trade.released"
    TRADE_RETURNED = "trade.returned"
    PAYIN_CREDITED = "payin.credited"


TRADE_KINDS: Final = (Kind.TRADE_SETTLED, Kind.TRADE_FAILED, Kind.TRADE_RELEASED, Kind.TRADE_RETURNED)

ID_LENGTH_MAX: Final = 128
REFERENCE_LENGTH_MAX: Final = 256

_KINDS: Final = {str(kind): kind for kind in Kind}
# A NUL cannot be stored, half a surrogate pair cannot be encoded, and no id has a control character in it.
_UNFIT_IN_IDS: Final = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_UNFIT_IN_REFERENCES: Final = re.compile("[\x00\ud800-\udfff]")
_YEARS: Final = range(2000, 2200)
_SEPARATOR: Final = "\x00"


@dataclass(frozen=True, slots=True)
class ProviderEvent:
    """One thing a source told, with the fields of its kind; those of other kinds are empty."""

    event_id: str
    kind: Kind
    occurred_at: datetime
    transact_id: str = ""
    network_transaction_id: str = ""
    currency: str = ""
    amount: Decimal | None = None
    funding_reference: str = ""
    """As the payer wrote it; empty when the transfer carried none."""
    bank_transaction_id: str = ""

    @property
    def is_payin(self) -> bool:
        """Whether this is money received; else it is a report on a trade."""
        return self.kind is Kind.PAYIN_CREDITED

    @property
    def amount_text(self) -> str:
        """The amount with exactly its currency's digits; empty when there is none."""
        return "" if self.amount is None else format_amount(self.amount, self.currency)

    @property
    def fingerprint(self) -> bytes:
        """sha256 of every parsed field but the event id: equal exactly when the same is told again.

        `100.0` and `100.00` are the same amount, `10:00Z` and `11:00+01:00` the same moment; fields nobody parses do
        not count.
        """
        fields = (
            self.kind,
            self.transact_id,
            self.network_transaction_id,
            self.currency,
            self.amount_text,
            self.funding_reference,
            self.bank_transaction_id,
            self.occurred_at.isoformat(),
        )
        return hashlib.sha256(_SEPARATOR.join(fields).encode()).digest()


def payin_event_id(source: str, bank_transaction_id: str) -> str:
    """The id of the pay-in's event everywhere: hex sha256 of `<source>:<bankTransactionId>:payin.credited`.

    No source's name has a colon in it, so no two pay-ins share an id.
    """
    return hashlib.sha256(f"{source}:{bank_transaction_id}:{Kind.PAYIN_CREDITED}".encode()).hexdigest()


def kind_of(text: str, *, field: str = "kind") -> Kind:
    """The kind by its name. Raises InvalidRequest for one that does not exist."""
    kind = _KINDS.get(text)
    if kind is None:
        raise InvalidRequest(f"there is no such kind; there are {', '.join(_KINDS)}.", field=field)
    return kind


def trade_report(
    kind: Kind,
    *,
    event_id: str,
    transact_id: str | None,
    network_transaction_id: str | None,
    crypto_currency: str | None,
    crypto_amount: str | None,
    occurred_at: datetime,
) -> ProviderEvent:
    """A report on a trade. What `settled` must say, other kinds may. Raises InvalidRequest, naming the field."""
    required = kind is Kind.TRADE_SETTLED
    currency = crypto_currency or ""
    amount = None
    if required or crypto_amount or currency:
        if currency not in CRYPTO:
            raise InvalidRequest(f"it must be one of {', '.join(sorted(CRYPTO))}.", field="cryptoCurrency")
        amount = parse_amount(crypto_amount or "", currency, field="cryptoAmount")
    return ProviderEvent(
        event_id=_id(event_id, "eventId"),
        kind=kind,
        occurred_at=_moment(occurred_at),
        transact_id=_id(transact_id, "transactId"),
        network_transaction_id=_id(network_transaction_id, "networkTransactionId", required=required),
        currency=currency,
        amount=amount,
    )


def pay_in(
    *,
    event_id: str,
    funding_reference: str,
    bank_transaction_id: str | None,
    currency: str | None,
    amount: str | None,
    occurred_at: datetime,
) -> ProviderEvent:
    """Money received. Raises InvalidRequest, naming the field."""
    if currency not in FIAT:
        raise InvalidRequest(f"it must be one of {', '.join(sorted(FIAT))}.", field="currency")
    if len(funding_reference) > REFERENCE_LENGTH_MAX or _UNFIT_IN_REFERENCES.search(funding_reference):
        raise InvalidRequest(f"it must be text of at most {REFERENCE_LENGTH_MAX} characters.", field="fundingReference")
    return ProviderEvent(
        event_id=_id(event_id, "eventId"),
        kind=Kind.PAYIN_CREDITED,
        occurred_at=_moment(occurred_at),
        currency=currency,
        amount=parse_amount(amount or "", currency),
        funding_reference=funding_reference,
        bank_transaction_id=_id(bank_transaction_id, "bankTransactionId"),
    )


def _id(text: str | None, field: str, *, required: bool = True) -> str:
    if not text and not required:
        return ""
    if not text or len(text) > ID_LENGTH_MAX or _UNFIT_IN_IDS.search(text):
        raise InvalidRequest(f"it must be 1 to {ID_LENGTH_MAX} characters, none of them a control one.", field=field)
    return text


def _moment(occurred_at: datetime) -> datetime:
    if occurred_at.tzinfo is None or occurred_at.year not in _YEARS:
        raise InvalidRequest("it must be a moment of this century or the next, with its offset.", field="occurredAt")
    return occurred_at.astimezone(UTC)
