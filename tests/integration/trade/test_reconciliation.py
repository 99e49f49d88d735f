"""A trade says what the newest close found out about it, however often and in whatever order closes speak."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from poolkit.database import Database
from poolkit.errors import InvalidRequest
from pools.trade.v1 import reconciliation_pb2, reconciliation_pb2_grpc
from pools.types.v1 import types_pb2
from pools_contracts.trade import TradeClient
from tests.integration.trade.reserved import new_trades, reserve_trades
from tests.integration.trade.served import CONTEXT, serving
from trade.api.reconciliation_service import ReconciliationService
from trade.store import trades

MATCHED = types_pb2.RECONCILIATION_STATE_MATCHED
EXCEPTION = types_pb2.RECONCILIATION_STATE_EXCEPTION
OPEN = types_pb2.RECONCILIATION_STATE_OPEN
WORDS = {OPEN: "open", MATCHED: "matched", EXCEPTION: "exception"}
FIRST_DAY, SECOND_DAY = "2026-11-21", "2026-11-22"


@pytest.fixture
async def client(database: Database) -> AsyncIterator[TradeClient]:
    adder = reconciliation_pb2_grpc.add_ReconciliationServiceServicer_to_server
    async with serving(adder, ReconciliationService(database, "test")) as client:
        yield client


def request(
    states: dict[str, types_pb2.ReconciliationState.ValueType], **changed: Any
) -> reconciliation_pb2.SetReconciliationStatesRequest:
    said: dict[str, Any] = {"context": CONTEXT, "business_date": FIRST_DAY, "revision": 1, "close_id": "close_1"}
    items = [
        reconciliation_pb2.SetReconciliationStatesItem(trade_id=trade_id, state=state)
        for trade_id, state in states.items()
    ]
    return reconciliation_pb2.SetReconciliationStatesRequest(items=items, **(said | changed))


async def say(
    client: TradeClient, trade_id: str, state: types_pb2.ReconciliationState.ValueType, date: str, revision: int
) -> tuple[types_pb2.ReconciliationState.ValueType, bool]:
    """One close's word on one trade: what the trade says afterwards, and whether a newer close had spoken."""
    close_id = f"close_{date}_{revision}"
    asked = request({trade_id: state}, business_date=date, revision=revision, close_id=close_id)
    [result] = (await client.reconciliation.SetReconciliationStates(asked)).results
    return result.state, result.superseded


async def test_the_newest_close_is_believed_and_an_older_one_changes_nothing(
    database: Database, client: TradeClient
) -> None:
    [one] = await reserve_trades(database, new_trades(1))
    for state, date, revision, kept in (
        (EXCEPTION, FIRST_DAY, 1, None),
        (MATCHED, FIRST_DAY, 2, None),
        (EXCEPTION, FIRST_DAY, 1, (MATCHED, FIRST_DAY, 2)),
        (EXCEPTION, SECOND_DAY, 1, None),
        (MATCHED, FIRST_DAY, 3, (EXCEPTION, SECOND_DAY, 1)),
        (OPEN, SECOND_DAY, 2, None),
    ):
        said, said_on, said_in = kept or (state, date, revision)
        assert await say(client, one.trade_id, state, date, revision) == (said, kept is not None)
        row = await database.fetch_row(
            "SELECT reconciliation_state, closed_date::text, closed_revision, close_id FROM trades"
        )
        assert row is not None
        assert tuple(row) == (WORDS[said], said_on, said_in, f"close_{said_on}_{said_in}")


async def test_a_repeat_answers_the_same_and_writes_nothing(database: Database, client: TradeClient) -> None:
    [one] = await reserve_trades(database, new_trades(1))
    version = "SELECT xmin::text FROM trades"
    assert await say(client, one.trade_id, MATCHED, FIRST_DAY, 1) == (MATCHED, False)
    written = await database.fetch_value(version)
    assert await say(client, one.trade_id, MATCHED, FIRST_DAY, 1) == (MATCHED, False)
    assert await database.fetch_value(version) == written
    stored = (await trades.find_by_id(database, [one.trade_id]))[one.trade_id]
    assert stored.reconciliation_state == "matched"
    # What a partner sees as the trade's last change is the trade's own.
    assert stored.updated_at == one.updated_at


async def test_items_fail_alone_and_are_answered_in_order(database: Database, client: TradeClient) -> None:
    first, second = await reserve_trades(database, new_trades(2))
    asked = request(
        {
            first.trade_id: MATCHED,
            "pt_test_unknown": MATCHED,
            second.trade_id: types_pb2.RECONCILIATION_STATE_UNSPECIFIED,
        }
    )
    asked.items.add(trade_id="pt_test_\x00", state=MATCHED)
    # Of two about one trade the last one counts.
    asked.items.add(trade_id=first.trade_id, state=EXCEPTION)
    results = (await client.reconciliation.SetReconciliationStates(asked)).results
    told = [result.refusal.reason or result.state for result in results]
    assert told == [EXCEPTION, "not_found", "invalid_request", "not_found", EXCEPTION]


async def test_closes_that_speak_at_once_of_many_trades_end_with_the_newest(
    database: Database, client: TradeClient
) -> None:
    ids = [one.trade_id for one in await reserve_trades(database, new_trades(20))]
    turned = [ids[turn:] + ids[:turn] for turn in range(8)]
    await asyncio.gather(
        *(
            client.reconciliation.SetReconciliationStates(
                request(dict.fromkeys(order, MATCHED if revision == 7 else EXCEPTION), revision=revision + 1)
            )
            for revision, order in enumerate(turned)
        )
    )
    rows = await database.fetch("SELECT DISTINCT reconciliation_state, closed_revision FROM trades")
    assert [tuple(row) for row in rows] == [("matched", 8)]


async def test_a_word_of_no_close_is_refused(client: TradeClient) -> None:
    wrong: list[dict[str, Any]] = [{"business_date": "soon"}, {"revision": 0}, {"close_id": ""}]
    for asked in (*(request({"pt_test_1": MATCHED}, **said) for said in wrong), request({})):
        with pytest.raises(InvalidRequest):
            await client.reconciliation.SetReconciliationStates(asked)
