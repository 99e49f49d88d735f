"""What a view reads from the records of other services: structural types, so that no record is copied on its way out.

The generated messages of `pools.types.v1` fit as they are. Numbers of enums are theirs.
"""

from collections.abc import Sequence
from typing import Protocol


class Moment(Protocol):
    """A point in time; both zero where it is not set."""

    @property
    def seconds(self) -> int:
        """Unix seconds."""

    @property
    def nanos(self) -> int:
        """Nanoseconds within the second."""


class Amount(Protocol):
    """An exact amount; both empty where it is not set."""

    @property
    def amount(self) -> str:
        """A decimal string."""

    @property
    def currency(self) -> str:
        """ISO 4217 or asset code."""


class TermsRecord(Protocol):
    """The terms that a quote locks and a trade carries on."""

    @property
    def quote_id(self) -> str:
        """Empty for a quote that is not stored."""

    @property
    def pool_id(self) -> str:
        """The pool."""

    @property
    def side(self) -> int:
        """The direction."""

    @property
    def fiat(self) -> Amount:
        """The fiat amount."""

    @property
    def crypto(self) -> Amount:
        """The crypto amount."""

    @property
    def rate(self) -> str:
        """The rate before spread."""

    @property
    def spread_bps(self) -> int:
        """Spread in basis points."""

    @property
    def fee_bps(self) -> int:
        """Fee in basis points."""

    @property
    def fee(self) -> Amount:
        """The fee, in fiat."""

    @property
    def network(self) -> str:
        """The network."""

    @property
    def destination_address(self) -> str:
        """Empty for off-ramp."""

    @property
    def client_reference(self) -> str:
        """Empty where none was given."""

    @property
    def create_time(self) -> Moment:
        """When it was made."""

    @property
    def status(self) -> int:
        """Where it stands."""


class QuoteRecord(TermsRecord, Protocol):
    """A quote as its owner tells it."""

    @property
    def available(self) -> bool:
        """Whether a price could be given."""

    @property
    def unavailable_reason(self) -> str:
        """Why not."""

    @property
    def type(self) -> int:
        """Firm or indicative."""

    @property
    def expire_time(self) -> Moment:
        """Unset for an indicative quote."""


class TradeRecord(TermsRecord, Protocol):
    """A trade as its owner tells it."""

    @property
    def transact_id(self) -> str:
        """The trade's id."""

    @property
    def deposit_address(self) -> str:
        """Empty for on-ramp."""

    @property
    def network_transaction_id(self) -> str:
        """Empty until settled."""

    @property
    def request_id(self) -> str:
        """The request that reserved it."""

    @property
    def reconciliation_state(self) -> int:
        """What the close found."""

    @property
    def update_time(self) -> Moment:
        """When it last changed."""

    @property
    def terminal_time(self) -> Moment:
        """Unset until terminal."""


class EntryRecord(Protocol):
    """A ledger entry as its owner tells it."""

    @property
    def entry_id(self) -> str:
        """The entry."""

    @property
    def delta(self) -> Amount:
        """The signed change."""

    @property
    def reason(self) -> str:
        """Why."""

    @property
    def ledger_transaction_id(self) -> str:
        """The ledger transaction."""

    @property
    def balance_after(self) -> Amount:
        """The posted balance after it."""

    @property
    def create_time(self) -> Moment:
        """When it was applied."""

    @property
    def transact_id(self) -> str:
        """Empty for pay-ins."""

    @property
    def client_reference(self) -> str:
        """Empty where none was given."""


class PoolRecord(Protocol):
    """A pool as its owner tells it, as far as a partner's list shows it."""

    @property
    def pool_id(self) -> str:
        """The pool."""

    @property
    def fiat_currency(self) -> str:
        """Its fiat side."""

    @property
    def crypto_currency(self) -> str:
        """Its crypto side."""

    @property
    def available(self) -> bool:
        """Whether a quote could be given now."""


class TierRecord(Protocol):
    """What a pool costs organizations of a tier."""

    @property
    def tier(self) -> str:
        """The tier's name."""

    @property
    def spread_bps(self) -> int:
        """Spread in basis points."""

    @property
    def fee_bps(self) -> int:
        """Fee in basis points."""


class CataloguedPool(PoolRecord, Protocol):
    """A pool with everything its owner has configured."""

    @property
    def supported_networks(self) -> Sequence[str]:
        """Networks the crypto moves on."""

    @property
    def sides(self) -> Sequence[int]:
        """Directions the pool offers."""

    @property
    def order_min(self) -> Amount:
        """Smallest order, in fiat."""

    @property
    def order_max(self) -> Amount:
        """Largest order, in fiat."""

    @property
    def quote_ttl_seconds(self) -> int:
        """How long a firm quote lives."""

    @property
    def tiers(self) -> Sequence[TierRecord]:
        """One line a tier."""
