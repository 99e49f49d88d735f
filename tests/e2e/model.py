"""What must come of any sequence of calls and reports, by the contract alone: a partner API of dictionaries.

It shares nothing with the product: not a formula, not a name. Source: CONTRACT §5 to §8.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

CENT, MICRO, BPS = Decimal("0.01"), Decimal("0.000001"), Decimal(10_000)

NEXT = {"reserved": {"settled", "failed", "released"}, "settled": {"returned"}}


def price(fiat: Decimal, rate: Decimal, spread_bps: int, fee_bps: int) -> tuple[Decimal, Decimal]:
    """Fee and crypto of an on-ramp quote given in fiat."""
    fee = (fiat * fee_bps / BPS).quantize(CENT, ROUND_CEILING)
    return fee, ((fiat - fee) * rate * (1 - spread_bps / BPS)).quantize(MICRO, ROUND_FLOOR)


def sale_price(crypto: Decimal, rate: Decimal, spread_bps: int, fee_bps: int) -> tuple[Decimal, Decimal]:
    """Fee and fiat of an off-ramp quote given in crypto."""
    gross = (crypto * (1 - spread_bps / BPS) / rate).quantize(CENT, ROUND_FLOOR)
    fee = (gross * fee_bps / BPS).quantize(CENT, ROUND_CEILING)
    return fee, gross - fee


@dataclass(slots=True)
class Trade:
    """A reserved quote and what was reported of it."""

    trade_id: str = ""
    status: str = "reserved"
    returned_early: bool = False

    def report(self, status: str, *, fits: bool) -> str:
        """What a report does: `applied`, `repeated`, `early` or `refused`; one that does not fit settles nothing."""
        if status == self.status or (status == "settled" and self.status == "returned"):
            return "repeated"
        if status == "returned" and self.status == "reserved":
            effect = "repeated" if self.returned_early else "early"
            self.returned_early = True
            return effect
        if status not in NEXT.get(self.status, ()) or not fits:
            return "refused"
        self.status = "returned" if status == "settled" and self.returned_early else status
        return "applied"


@dataclass(slots=True)
class Quote:
    """A firm quote."""

    quote_id: str
    owner: int
    pool_id: str
    sale: bool
    fiat: Decimal
    crypto: Decimal
    rate: Decimal
    fee: Decimal
    rejected: bool = False
    expired: bool = False
    trade: Trade | None = None
    deposit_address: str = ""
    """Where the crypto of a sale goes."""

    @property
    def status(self) -> str:
        """rejected > consumed > expired > active."""
        if self.rejected:
            return "rejected"
        return "consumed" if self.trade else "expired" if self.expired else "active"

    def legs(self) -> dict[tuple[str, str], Decimal]:
        """What `settled` posts, by kind of account and currency."""
        fiat, crypto = self.pool_id.split("-")
        if self.sale:
            market = (self.crypto / self.rate).quantize(CENT, ROUND_FLOOR)
            sold = {
                ("partner", fiat): self.fiat,
                ("fees", fiat): self.fee,
                ("spread", fiat): market - self.fiat - self.fee,
                ("conversion", fiat): -market,
                ("conversion", crypto): self.crypto,
                ("inventory", crypto): -self.crypto,
            }
            return {account: amount for account, amount in sold.items() if amount}
        gross = ((self.fiat - self.fee) * self.rate).quantize(MICRO, ROUND_FLOOR)
        legs = {
            ("partner", fiat): -self.fiat,
            ("fees", fiat): self.fee,
            ("conversion", fiat): self.fiat - self.fee,
            ("conversion", crypto): -gross,
            ("spread", crypto): gross - self.crypto,
            ("inventory", crypto): self.crypto,
        }
        return {account: amount for account, amount in legs.items() if amount}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ends: `ok` or the refusal's code, for which trade, and whether it is a replay."""

    code: str
    trade_of: str = ""
    """The quote whose trade is answered."""
    replayed: bool = False


@dataclass(slots=True)
class Entry:
    """A line of a partner's account."""

    reason: str
    delta: Decimal
    balance_after: Decimal
    trade_of: str


@dataclass(slots=True)
class Model:
    """Organizations by number, what they did, and what they own."""

    quotes: dict[str, Quote] = field(default_factory=dict)
    keys: dict[tuple[int, str], tuple[str, str]] = field(default_factory=dict)
    """Quote and pool that a key of an organization is bound to."""
    entries: dict[int, list[Entry]] = field(default_factory=dict)
    sellers: set[int] = field(default_factory=set)
    """Organizations that may sell."""

    def posted(self, organization: int) -> Decimal:
        """The sum of the entries."""
        return sum((entry.delta for entry in self.entries.get(organization, ())), Decimal("0.00"))

    def available(self, organization: int) -> Decimal:
        """Posted less what reserved purchases hold; who sells has nothing held."""
        reserved = (quote for quote in self.of(organization) if quote.trade and quote.trade.status == "reserved")
        held = (quote.fiat for quote in reserved if not quote.sale)
        return self.posted(organization) - sum(held)

    def affords(self, quote: Quote) -> bool:
        """Whether there is money for a quote, if it is one to pay for."""
        return quote.sale or quote.fiat <= self.available(quote.owner)

    def of(self, organization: int) -> list[Quote]:
        """An organization's quotes, oldest first."""
        return [quote for quote in self.quotes.values() if quote.owner == organization]

    def pay_in(self, organization: int, amount: Decimal) -> None:
        """Money arrives."""
        self._post(organization, "payin_credit", amount, "")

    def quote(self, given: dict[str, Any], owner: int, asked: Decimal, *, sale: bool = False) -> Quote:
        """Takes a quote over, once its price is what the formula says: for fiat, or for crypto to sell."""
        rate, terms = Decimal(given["rate"]), (given["spreadBps"], given["feeBps"])
        fiat = crypto = asked
        if sale:
            fee, fiat = sale_price(crypto, rate, *terms)
        else:
            fee, crypto = price(fiat, rate, *terms)
        assert given["side"] == ("off_ramp" if sale else "on_ramp"), given
        shown = (given["fiatAmount"], given["feeAmount"], given["cryptoAmount"])
        assert shown == (str(fiat), str(fee), str(crypto)), given
        quote = Quote(given["quoteId"], owner, given["poolId"], sale, fiat, crypto, rate, fee)
        assert quote.quote_id not in self.quotes
        self.quotes[quote.quote_id] = quote
        return quote

    def reject(self, organization: int, quote_id: str) -> Outcome:
        """Rejects a quote, or says why not."""
        quote = self.quotes[quote_id]
        if quote.owner != organization:
            return Outcome("not_found")
        if quote.status != "active":
            return Outcome(f"quote_{quote.status}")
        quote.rejected = True
        return Outcome("ok")

    def transact(self, organization: int, key: str, quote_id: str, pool_id: str) -> Outcome:
        """Accepts a quote, replays, or says why not; a refusal binds nothing."""
        quote, bound = self.quotes[quote_id], self.keys.get((organization, key))
        if bound is not None:
            same = bound == (quote_id, pool_id)
            return Outcome("ok", quote_id, replayed=True) if same else Outcome("idempotency_conflict")
        if quote.owner != organization or quote.pool_id != pool_id:
            return Outcome("not_found")
        replayed = quote.trade is not None
        if not replayed:
            if quote.status != "active":
                return Outcome(f"quote_{quote.status}")
            if quote.sale and organization not in self.sellers:
                return Outcome("off_ramp_not_enabled")
            if not self.affords(quote):
                return Outcome("insufficient_balance")
            quote.trade = Trade()
        self.keys[organization, key] = quote_id, pool_id
        return Outcome("ok", quote_id, replayed=replayed)

    def poll(self, organization: int, quote_id: str) -> str:
        """The status of a quote's trade, or `not_found`."""
        quote = self.quotes[quote_id]
        return quote.trade.status if quote.trade and quote.owner == organization else "not_found"

    def report(self, quote_id: str, status: str, *, exact: bool = True) -> str:
        """A settlement report on the quote's trade: what it does. Of another amount it settles no sale."""
        quote = self.quotes[quote_id]
        assert quote.trade is not None
        before = quote.trade.status
        effect = quote.trade.report(status, fits=exact or not quote.sale or status != "settled")
        after = quote.trade.status
        settled, undone = ("sell_credit", "sell_reversal") if quote.sale else ("buy_debit", "buy_refund")
        moved = quote.fiat if quote.sale else -quote.fiat
        if before == "reserved" and after in ("settled", "returned"):
            self._post(quote.owner, settled, moved, quote_id)
        if before != "returned" and after == "returned":
            self._post(quote.owner, undone, -moved, quote_id)
        return effect

    def _post(self, organization: int, reason: str, delta: Decimal, quote_id: str) -> None:
        balance_after = self.posted(organization) + delta
        self.entries.setdefault(organization, []).append(Entry(reason, delta, balance_after, quote_id))
