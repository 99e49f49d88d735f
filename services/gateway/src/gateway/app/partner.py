"""The partner operations: one use case each, whichever way the call came in. All of them stand behind the gates."""

import contextlib
from collections.abc import Mapping
from types import MappingProxyType

from gateway.app.call import Call, is_id
from gateway.app.ports import Acceptance, EntryPage, Ledger, PoolPage, Quotes, Settlements, TradePage, Trades
from gateway.app.recent_quotes import RecentQuotes
from gateway.app.requests import (
    FundingRequest,
    LedgerRequest,
    Nothing,
    PoolsRequest,
    QuoteRequest,
    TradesRequest,
    TransactRequest,
)
from gateway.domain.gates import pool_refusal
from gateway.domain.offers import Balance, Capabilities, Funding, capabilities
from gateway.domain.quote_terms import UnpricedQuote, check_terms
from gateway.domain.records import CataloguedPool, QuoteRecord, TradeRecord
from gateway.domain.views import RESERVED
from poolkit import page_tokens
from poolkit.errors import DeadlineExceeded, InvalidRequest, NotFound, OffRampNotEnabled, Unavailable
from poolkit.money import DIGITS, FIAT


class PartnerOperations:
    """What partners may ask for. Each method takes the call, the id in the path (or none), and the rest."""

    def __init__(
        self,
        *,
        quotes: Quotes,
        trades: Trades,
        settlements: Settlements,
        ledger: Ledger,
        ibans: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._quotes = quotes
        self._trades = trades
        self._settlements = settlements
        self._ledger = ledger
        self._ibans = ibans
        self._recent = RecentQuotes()

    async def list_pools(self, call: Call, _subject: str, request: PoolsRequest) -> PoolPage:
        """The entitled pools, by id. A pure read."""
        entitlement, limit = call.entitlement, request.limit
        allowed = entitlement.pool_ids
        pools = [pool for pool in await self._quotes.recent_pools(call.context) if pool.pool_id in allowed]
        of_list = entitlement.organization_id, "pools"
        if request.cursor:
            after = _place(request.cursor, *of_list)
            pools = [pool for pool in pools if pool.pool_id > after]
        page = pools[:limit]
        return PoolPage(page, page_tokens.make(page[-1].pool_id, *of_list) if len(pools) > limit else "")

    async def get_capabilities(self, call: Call, pool_id: str, _request: Nothing) -> Capabilities:
        """What a pool offers the organization. A pure read. Raises PoolNotAllowed, NotFound."""
        return capabilities(await self._pool(call, pool_id), call.entitlement)

    async def get_balance(self, call: Call, pool_id: str, _request: Nothing) -> Balance:
        """What the organization has in the pool's fiat currency. A pure read. Raises PoolNotAllowed, NotFound."""
        pool, entitlement = await self._pool(call, pool_id), call.entitlement
        amount = None
        if entitlement.balance_gate_enabled:
            amount = await self._ledger.available(call.context, pool.fiat_currency)
        return Balance(entitlement.tier, entitlement.pool_ids, pool.available, pool.fiat_currency, amount)

    async def get_funding(self, call: Call, _subject: str, request: FundingRequest) -> Funding:
        """How to pay in. The reference is made when it is first asked for, and is the same ever after."""
        currency = request.currency
        if currency not in FIAT:
            raise InvalidRequest(f"it is not one of {', '.join(sorted(FIAT))}; name one of these.", field="currency")
        references = await self._ledger.ensure_funding_references(call.context, [currency])
        return Funding(currency, self._ibans.get(currency), references[currency])

    async def create_quote(self, call: Call, pool_id: str, request: QuoteRequest) -> QuoteRecord:
        """Prices an amount; a firm quote is stored and holds inventory until consumed, rejected or expired.

        With the quote service out of reach there is no price to give, which is an answer (`engine_unavailable`).
        Raises InvalidRequest, PoolNotAllowed, NotFound, OffRampNotEnabled, TooManyActiveQuotes.
        """
        terms = request.terms()
        call.client_reference = terms.client_reference
        check_terms(terms)
        await self._require_pool(call, pool_id)
        entitlement = call.entitlement
        if terms.side == "off_ramp" and not entitlement.off_ramp_enabled:
            raise OffRampNotEnabled
        try:
            quote = await self._quotes.create(call.context, pool_id, terms, tier=entitlement.tier)
        except (Unavailable, DeadlineExceeded):
            # A firm quote that was made all the same holds inventory until it expires by itself, like any other.
            return UnpricedQuote(pool_id, terms, unavailable_reason="engine_unavailable")
        call.quote_id = quote.quote_id
        self._recent.remember(entitlement.organization_id, quote)
        return quote

    async def get_quote(self, call: Call, quote_id: str, _request: Nothing) -> QuoteRecord:
        """Reads a quote with its derived status. A pure read. Raises NotFound."""
        call.quote_id = _existing_id(quote_id, "quote")
        return _noting_quote(call, await self._quotes.get(call.context, quote_id))

    async def reject_quote(self, call: Call, quote_id: str, _request: Nothing) -> QuoteRecord:
        """Gives an active quote back.

        Raises NotFound, QuoteRejected (also on a repeat), QuoteConsumed, QuoteExpired.
        """
        call.quote_id = _existing_id(quote_id, "quote")
        quote = await self._quotes.reject(call.context, quote_id)
        self._recent.forget(quote_id)
        return _noting_quote(call, quote)

    async def transact(self, call: Call, pool_id: str, request: TransactRequest) -> TradeRecord:
        """Accepts a firm quote, once: a repeat by key or by quote answers the first success, marked replayed.

        Raises what `trade.TransactQuotes` refuses. Unavailable and DeadlineExceeded say that the outcome is unknown:
        the partner asks again with the same key.
        """
        quote_id = request.quote_id
        call.quote_id = quote_id
        await self._require_pool(call, pool_id)
        _existing_id(quote_id, "quote")
        entitlement = call.entitlement
        acceptance = Acceptance(
            call.context,
            call.idempotency_key,
            pool_id,
            quote_id,
            entitlement,
            self._recent.expected_hold(entitlement.organization_id, pool_id, quote_id),
        )
        trade, call.replayed = await self._trades.transact(acceptance)
        return _noting_trade(call, trade)

    async def get_transaction(self, call: Call, quote_id: str, _request: Nothing) -> TradeRecord:
        """Reads a trade by its quote; one still reserved is asked about at the settlement provider first.

        Raises NotFound, and IdempotencyInProgress while an intent runs. No silence of the provider's fails the poll.
        """
        call.quote_id = _existing_id(quote_id, "quote")
        trade = await self._trades.get_by_quote(call.context, quote_id)
        if trade.status == RESERVED and await self._settlements.has_news(call.context, trade.transact_id):
            # Out of reach now: then what was read is the answer, which was true a moment ago.
            with contextlib.suppress(Unavailable, DeadlineExceeded):
                trade = await self._trades.get_by_quote(call.context, quote_id)
        return _noting_trade(call, trade)

    async def get_trade(self, call: Call, trade_id: str, _request: Nothing) -> TradeRecord:
        """Reads a trade by its own id. A pure read. Raises NotFound."""
        call.trade_id = _existing_id(trade_id, "trade")
        return _noting_trade(call, await self._trades.get(call.context, trade_id))

    async def list_trades(self, call: Call, _subject: str, request: TradesRequest) -> TradePage:
        """The organization's trades, newest first. A pure read; stable under inserts."""
        return await self._trades.list_page(
            call.context, request.matching(), limit=request.limit, cursor=request.cursor
        )

    async def list_ledger_entries(self, call: Call, _subject: str, request: LedgerRequest) -> EntryPage:
        """The organization's entries in one currency, newest first, with the available balance. A pure read."""
        if request.currency not in DIGITS:
            raise InvalidRequest(f"it is not one of {', '.join(DIGITS)}; name one of these.", field="currency")
        return await self._ledger.list_entries(
            call.context, request.currency, limit=request.limit, cursor=request.cursor
        )

    async def _pool(self, call: Call, pool_id: str) -> CataloguedPool:
        """The pool as its owner has it. Raises NotFound, PoolNotAllowed."""
        pools = await self._quotes.recent_pools(call.context) if is_id(pool_id) else ()
        pool = next((pool for pool in pools if pool.pool_id == pool_id), None)
        refusal = pool_refusal(call.entitlement, pool_id, exists=pool is not None)
        if pool is None or refusal is not None:
            raise refusal or NotFound("pool")
        return pool

    async def _require_pool(self, call: Call, pool_id: str) -> None:
        """Raises NotFound or PoolNotAllowed. An allowed pool that is absent is found out by its owner."""
        if pool_id in call.entitlement.pool_ids:
            return
        await self._pool(call, pool_id)


def _place(cursor: str, *of_list: str) -> str:
    try:
        return page_tokens.read(cursor, *of_list)
    except InvalidRequest:
        raise InvalidRequest("it is not of this list; take `nextCursor` of the page before.", field="cursor") from None


def _existing_id(text: str, resource: str) -> str:
    if not is_id(text):
        raise NotFound(resource)
    return text


def _noting_quote(call: Call, quote: QuoteRecord) -> QuoteRecord:
    call.client_reference = quote.client_reference
    return quote


def _noting_trade(call: Call, trade: TradeRecord) -> TradeRecord:
    call.trade_id = trade.transact_id
    call.quote_id = trade.quote_id
    call.client_reference = trade.client_reference
    return trade
