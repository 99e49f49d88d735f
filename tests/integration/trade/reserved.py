"""Reserved trades to report on, written as the saga writes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from poolkit.database import Database
from poolkit.ids import new_id
from poolkit.kafka import Producer
from poolkit.leases import Lease
from poolkit.relay import Relay
from tests.unit.trade.builders import trade, transact_request
from trade.domain.intent import Attempt
from trade.domain.trade import Trade
from trade.outbound.events import TradeEvents
from trade.store import intents
from trade.store.reserving import reserve


def relay_elsewhere(database: Database) -> Relay:
    """The relay of a replica that does not relay: another one has the lease."""
    return Relay(database, Producer("127.0.0.1:1", client_id="trade"), Lease(database, "relay"), "test")


async def reserve_trades(database: Database, trades: Sequence[Trade]) -> list[Trade]:
    """Writes the intents, then makes them trades; answers the trades as they were written."""
    attempts = [
        Attempt(
            one.trade_id,
            replace(
                transact_request(key=one.trade_id, quote=one.quote_id),
                organization_id=one.organization_id,
                request_id=one.request_id,
            ),
        )
        for one in trades
    ]
    claimed = await intents.begin(database, attempts)
    written = [replace(one, created_at=claimed[one.trade_id], updated_at=claimed[one.trade_id]) for one in trades]
    events = TradeEvents("test")
    told = [events.reserved(one, "") for one in written]
    assert set(await reserve(database, attempts, written, told, notify=True)) == {event.event_id for event in told}
    return written


def new_trades(count: int) -> list[Trade]:
    """Trades alike but for their ids."""
    return [replace(trade(), trade_id=new_id("pt", "test"), quote_id=new_id("pq", "test")) for _ in range(count)]
