"""Events to post, priced by the contract's formulas."""

import dataclasses
from datetime import date
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from typing import Any

from hypothesis import strategies as st

from ledger.domain.amounts import minor_units
from ledger.domain.events import OFF_RAMP, ON_RAMP, Cause, Event, TradeTerminal, awaited_by
from ledger.domain.postings import Posting

ORGANIZATION = "org_01KAPJDTG0XBPF23V128XAA8B5"
TRADE = TradeTerminal(
    trade_id="pt_test_01KAPJDTG0XBPF23V128XAA8B6",
    quote_id="pq_test_01KAPJDTG0XBPF23V128XAA8B7",
    pool_id="EUR-USDT",
    side=ON_RAMP,
    status="settled",
    number=1,
    fiat_currency="EUR",
    fiat=10_000,
    fee=20,
    crypto_currency="USDT",
    crypto=107_904_009,
    rate="1.085000",
    client_reference="mobile_checkout_123",
)
"""The contract's example."""

SALE = TRADE._replace(side=OFF_RAMP, fiat=9_165, fee=19, crypto=100_000_000)
"""The contract's example of a sell."""


def event(cause: Cause = TRADE, organization_id: str = ORGANIZATION, **changes: Any) -> Event:
    """An event around a cause."""
    made = Event(
        event_id="b9" * 32,
        topic="pools.trade.terminal.v1",
        type="pool.transaction.settled",
        organization_id=organization_id,
        business_date=date(2026, 11, 22),
        occurred_ms=1_763_800_000_123,
        payload=b"",
        request_id="req_1",
        traceparent="",
        partition=0,
        offset=0,
        awaits=awaited_by(cause),
        cause=cause,
    )
    return made._replace(**changes)


def returned(trade: TradeTerminal) -> TradeTerminal:
    """The same trade, sent back."""
    return trade._replace(status="returned", number=2)


def sums(posting: Posting) -> dict[str, int]:
    """What a posting's legs sum to, by currency."""
    totals: dict[str, int] = {}
    for account, amount in posting.legs:
        totals[account.currency] = totals.get(account.currency, 0) + amount
    return totals


@dataclasses.dataclass(frozen=True)
class Price:
    """A pool's price of the day."""

    rate: Decimal
    spread_bps: int
    fee_bps: int

    def buy(self, fiat: Decimal) -> TradeTerminal | None:
        """The trade of an on-ramp quote given in fiat, by contract section 5; None when nothing is left to deliver."""
        with localcontext(prec=60):
            fee = (fiat * self.fee_bps / 10_000).quantize(Decimal("0.01"), ROUND_CEILING)
            exact = (fiat - fee) * self.rate * (1 - Decimal(self.spread_bps) / 10_000)
            crypto = exact.quantize(Decimal("0.000001"), ROUND_FLOOR)
        return self._trade(ON_RAMP, fiat, fee, crypto)

    def sell(self, crypto: Decimal) -> TradeTerminal | None:
        """The trade of an off-ramp quote given in crypto; None when nothing is left to pay out."""
        with localcontext(prec=60):
            exact = crypto * (1 - Decimal(self.spread_bps) / 10_000) / self.rate
            gross = exact.quantize(Decimal("0.01"), ROUND_FLOOR)
            fee = (gross * self.fee_bps / 10_000).quantize(Decimal("0.01"), ROUND_CEILING)
        return self._trade(OFF_RAMP, gross - fee, fee, crypto)

    def _trade(self, side: str, fiat: Decimal, fee: Decimal, crypto: Decimal) -> TradeTerminal | None:
        if fiat <= 0 or crypto <= 0:
            return None
        return TRADE._replace(
            side=side,
            fiat=minor_units(f"{fiat:f}", "EUR"),
            fee=minor_units(f"{fee:f}", "EUR"),
            crypto=minor_units(f"{crypto:f}", "USDT"),
            rate=f"{self.rate:f}",
        )


prices = st.builds(
    Price,
    rate=st.decimals("0.000001", "100000", places=6),
    spread_bps=st.integers(0, 9_999),
    fee_bps=st.integers(0, 9_999),
)
fiat_amounts = st.decimals("0.01", "999999999999.99", places=2)
crypto_amounts = st.decimals("0.000001", "999999999999.999999", places=6)
