"""What a close asks of others: the owners' facts, how far they and the broker are, and somebody to hear of it."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple, Protocol

from ledger.domain.close.facts import Amount
from ledger.domain.close.merging import Pages

Tell = Callable[[str], None]
"""Hears in one sentence what is waited for or done."""


class Published(NamedTuple):
    """How far an owner has told what happened up to a date."""

    owner: str
    unpublished: int
    oldest_at: datetime | None
    open_transactions: int


class Stock(NamedTuple):
    """What quote says lies in a pool at the end of a date."""

    pool_id: str
    amount: Amount
    movements: int
    """How many movements are counted in it."""


class Findings(NamedTuple):
    """From which close trades are told."""

    close_id: str
    business_date: date
    revision: int
    request_id: str


class Owners(Protocol):
    """The services that own facts. Streams are pages in key order; all raise Unavailable."""

    def trade_facts(self, business_date: date, *, until: datetime | None) -> Pages:
        """Trades that ended on the date, before `until`, by trade id."""

    def open_trades(self, *, reserved_before: datetime) -> Pages:
        """Trades that are reserved still, by trade id."""

    def report_facts(self, business_date: date) -> Pages:
        """Providers' reports of the date by trade id."""

    def payin_facts(self, business_date: date) -> Pages:
        """Banks' reports of the date by event id."""

    async def stocks(self, business_date: date) -> list[Stock]:
        """What lies in each pool."""

    async def published(self, business_date: date) -> list[Published]:
        """How far each owner of events is."""

    async def set_states(self, told: Findings, states: Sequence[tuple[str, str]]) -> None:
        """Tells trades what a close found, by trade id; at most 1,000. Safe to repeat."""


class Progress(Protocol):
    """The ledger's own reading of its topics, over all replicas."""

    async def ends(self) -> Mapping[object, int]:
        """Where each partition ends now."""

    async def behind(self, ends: Mapping[object, int]) -> int:
        """How many events before those ends are not taken in yet."""
