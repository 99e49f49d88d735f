"""When something the gateway needs is away or silent: never a yes, never a guess, never a caller left waiting."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import pytest

from poolkit.database import Database
from poolkit.errors import InvalidRequest, RequestTooLarge
from pools.gateway.v1 import partner_pb2
from tests.integration.databases import RunningPostgres
from tests.integration.gateway.cable import Cable
from tests.integration.gateway.calls import EDGES, Caller
from tests.integration.gateway.house import RunningGateway, start_gateway
from tests.waiting import eventually


@pytest.fixture(scope="module")
async def unanswered(postgres: RunningPostgres) -> AsyncIterator[RunningGateway]:
    """A gateway whose colleagues take connections and never say a word."""

    async def keep(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(keep, "127.0.0.1", 0)
    silent = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with AsyncExitStack() as stack:
        yield await start_gateway(
            stack, postgres, quote_address=silent, trade_address=silent, ledger_address=silent, call_seconds_max=0.5
        )
    for writer in writers:
        writer.close()
    server.close()


@pytest.mark.parametrize("edge", EDGES)
async def test_a_colleagues_silence_is_answered_in_time_and_says_to_repeat_with_the_same_key(
    unanswered: RunningGateway, http: httpx.AsyncClient, edge: str
) -> None:
    caller = Caller(unanswered, http, edge, (await unanswered.new_partner()).secret_key)
    await caller.get_trade("pt_test_1")
    started = time.monotonic()
    answers = await asyncio.gather(*(caller.transact("pq_test_1", f"key {number}") for number in range(20)))
    assert time.monotonic() - started < 2.0
    assert {answer.code for answer in answers} <= {"deadline_exceeded", "unavailable"}
    for answer in answers:
        message = answer.body["message"] if edge == "rest" else answer.body.message
        assert "same idempotency key" in message
        assert answer.request_id.startswith("req_")


@pytest.mark.parametrize("edge", EDGES)
async def test_a_silent_quote_engine_gives_no_price_which_is_an_answer(
    unanswered: RunningGateway, http: httpx.AsyncClient, edge: str
) -> None:
    caller = Caller(unanswered, http, edge, (await unanswered.new_partner()).secret_key)
    answer = await caller.create_quote()
    assert answer.code == "ok"
    reason = answer.body["unavailableReason"] if edge == "rest" else answer.body.quote.unavailable_reason
    assert reason == "engine_unavailable"


async def test_a_caller_that_gives_up_earlier_is_let_go_and_on_record(unanswered: RunningGateway) -> None:
    partner = await unanswered.new_partner()
    metadata = (("authorization", f"Bearer {partner.secret_key}"), ("x-request-id", "gave-up"))
    request = partner_pb2.GetTradeRequest(transact_id="pt_test_1")
    call = unanswered.partner.partner.GetTrade(request, timeout=5, metadata=metadata)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    request_id = "gave-up-in-the-middle"
    call = unanswered.partner.partner.GetTrade(request, timeout=5, metadata=(metadata[0], ("x-request-id", request_id)))
    waiting = asyncio.ensure_future(call)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(waiting, 0.1)

    async def logged() -> bool:
        row = await unanswered.database.fetch_row("SELECT * FROM request_log WHERE request_id = $1", request_id)
        return row is not None and row["outcome"] in ("cancelled", "deadline_exceeded")

    await eventually(logged, "the call is on record", seconds=5)


async def test_with_its_store_out_of_reach_nobody_is_let_in_and_no_row_is_lost(
    postgres: RunningPostgres, http: httpx.AsyncClient
) -> None:
    async with AsyncExitStack() as stack:
        gateway = await start_gateway(stack, postgres, through=(cable := Cable()))
        stack.push_async_callback(cable.plug_in)
        known = Caller(gateway, http, "rest", (await gateway.new_partner()).secret_key)
        unknown = Caller(gateway, http, "grpc", (await gateway.new_partner()).secret_key)
        assert (await known.create_quote()).code == "ok"
        await cable.pull_out()

        async def shut() -> bool:
            return (await known.create_quote()).code == "unavailable"

        # For two seconds at most the answer given before may still be used.
        await eventually(shut, "a key that was known is let in no more", seconds=2.5)
        assert (await unknown.list_pools()).code == "unavailable"
        during = await known.create_quote()
        assert during.code == "unavailable"
        await cable.plug_in()

        async def open_again() -> bool:
            return (await known.create_quote()).code == "ok"

        await eventually(open_again, "it comes back by itself")

        async def logged() -> bool:
            row = await gateway.database.fetch_row("SELECT * FROM request_log WHERE request_id = $1", during.request_id)
            return row is not None and (row["outcome"], row["http_status"]) == ("unavailable", 503)

        await eventually(logged, "what was refused meanwhile is on record")


async def test_messages_that_are_too_long_or_are_none_are_refused_alike(
    alone: RunningGateway,
) -> None:
    partner = await alone.new_partner()
    multi = alone.partner.channel.unary_unary("/pools.gateway.v1.PartnerService/CreateQuote")
    metadata = (("authorization", f"Bearer {partner.secret_key}"),)
    with pytest.raises(RequestTooLarge):
        await multi(b"\x0a" + b"x" * 65_536, metadata=metadata)
    with pytest.raises(InvalidRequest):
        await multi(b"\xff\xff\xff", metadata=metadata)
    with pytest.raises(InvalidRequest) as refused:
        await multi(partner_pb2.CreateQuoteRequest(pool_id="EUR-USDT").SerializeToString(), metadata=metadata)
    assert refused.value.field == "side"


async def test_what_is_under_way_when_the_service_leaves_is_answered_and_on_record(
    postgres: RunningPostgres, http: httpx.AsyncClient
) -> None:
    async with AsyncExitStack() as stack:
        gateway = await start_gateway(stack, postgres)
        url = gateway.runtime.settings.database_url.get_secret_value()
        admin = Database(postgres.admin_url(url), application_name="test", pool_size=1)
        caller = Caller(gateway, http, "rest", (await gateway.new_partner()).secret_key)
        answered: list[str] = []

        async def keep_calling() -> None:
            while True:
                try:
                    answer = await caller.create_quote()
                except httpx.TransportError:
                    # The port is closed; what was taken before has been answered.
                    return
                assert answer.code == "ok"
                answered.append(answer.request_id)

        callers = [asyncio.create_task(keep_calling()) for _ in range(16)]
        await eventually(lambda: len(answered) > 50, "calls are under way")
    async with asyncio.timeout(10):
        await asyncio.gather(*callers)
    stored = {row["request_id"] for row in await admin.fetch("SELECT request_id FROM request_log")}
    await admin.close()
    assert set(answered) <= stored
