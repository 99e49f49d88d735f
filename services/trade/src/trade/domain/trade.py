"""Owns what a trade is: locked terms, a status, and the moments it passed through."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


class Status(StrEnum):
    """Where a trade stands, in the words of the API."""

    RESERVED = "reserved"
    SETTLED = "settled"
    FAILED = "failed"
    RELEASED = "released"
    RETURNED = "returned"


class Side(StrEnum):
    """The direction, seen from the partner."""

    ON_RAMP = "on_ramp"
    OFF_RAMP = "off_ramp"


class Hold(NamedTuple):
    """What a trade takes of its partner's balance before it is reserved."""

    currency: str
    amount: str
    client_reference: str


@dataclass(frozen=True, slots=True)
class Terms:
    """What a consumed quote locked. Amounts and rate are exact decimal strings: trade compares and passes them on,
    it never computes with them."""

    side: Side
    fiat_currency: str
    fiat_amount: str
    crypto_currency: str
    crypto_amount: str
    rate: str
    spread_bps: int
    fee_bps: int
    fee_amount: str
    network: str
    destination_address: str
    client_reference: str

    @property
    def hold(self) -> Hold | None:
        """The partner's hold; None for an off-ramp, where the partner's crypto is not held here."""
        if self.side is not Side.ON_RAMP:
            return None
        return Hold(self.fiat_currency, self.fiat_amount, self.client_reference)


@dataclass(frozen=True, slots=True)
class Trade:
    """An accepted quote. Times are the database's, UTC."""

    trade_id: str
    organization_id: str
    quote_id: str
    pool_id: str
    terms: Terms
    status: Status
    request_id: str
    created_at: datetime
    updated_at: datetime
    terminal_at: datetime | None = None
    deposit_address: str = ""
    network_transaction_id: str = ""
    reconciliation_state: str = "open"
    terminal_count: int = 0
    """How many terminal events were told: the number of the last one."""

    def as_reserved(self) -> Trade:
        """The trade as its acceptance answered it, whatever became of it since: what a replay gives."""
        return replace(
            self,
            status=Status.RESERVED,
            updated_at=self.created_at,
            terminal_at=None,
            network_transaction_id="",
            reconciliation_state="open",
            terminal_count=0,
        )
