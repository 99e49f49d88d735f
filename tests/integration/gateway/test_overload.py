"""More callers than a silent colleague leaves room for: told so at once, and served again when it speaks."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import httpx
import pytest

from tests.integration.databases import RunningPostgres
from tests.integration.gateway.cable import Cable
from tests.integration.gateway.calls import EDGES, Answer, Caller
from tests.integration.gateway.house import RunningGateway, start_gateway, start_quote
from tests.integration.gateway.test_request_log import rows_of
from tests.waiting import eventually

WAITING_MAX = 4
CALLERS = 40


@dataclass(frozen=True)
class Crowded:
    """A gateway with little room, and the cable to its one colleague."""

    gateway: RunningGateway
    cable: Cable


@pytest.fixture(scope="module")
async def crowded(postgres: RunningPostgres, bootstrap: str) -> AsyncIterator[Crowded]:
    """The real quote service behind a cable that can be pinched."""
    async with AsyncExitStack() as stack:
        address, _ = await start_quote(stack, postgres, bootstrap)
        cable = Cable()
        stack.push_async_callback(cable.pull_out)
        through = (await cable.to(f"grpc://{address}")).removeprefix("grpc://")
        gateway = await start_gateway(stack, postgres, quote_address=through, waiting_calls_max=WAITING_MAX)
        stack.callback(cable.release)
        yield Crowded(gateway, cable)


@pytest.fixture(scope="module")
async def ignored(postgres: RunningPostgres) -> AsyncIterator[RunningGateway]:
    """A gateway with little room, whose colleagues take connections and never say a word."""
    async with AsyncExitStack() as stack:
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        yield await start_gateway(
            stack,
            postgres,
            trade_address=address,
            ledger_address=address,
            call_seconds_max=0.8,
            waiting_calls_max=WAITING_MAX,
        )


async def test_lists_and_funding_that_find_no_room_are_refused_at_once_too(
    ignored: RunningGateway, http: httpx.AsyncClient
) -> None:
    partner = await ignored.new_partner()
    callers = [Caller(ignored, http, edge, partner.secret_key) for edge in EDGES]

    async def ask_all_at_once(ask: Callable[[Caller], Awaitable[Answer]]) -> list[Answer]:
        answered: list[Answer] = []

        async def once(caller: Caller) -> None:
            answered.append(await ask(caller))

        await asyncio.gather(*(once(callers[number % len(EDGES)]) for number in range(3 * WAITING_MAX)))
        return answered

    asking: dict[str, Callable[[Caller], Awaitable[Answer]]] = {
        "trades": Caller.list_trades,
        "entries": Caller.ledger,
        "funding": lambda caller: caller.get_funding("EUR"),
    }
    for what, answered in zip(asking, await asyncio.gather(*map(ask_all_at_once, asking.values())), strict=True):
        codes = [answer.code for answer in answered]
        shed = 2 * WAITING_MAX
        assert codes[:shed] == ["overloaded"] * shed, what
        assert set(codes[shed:]) <= {"deadline_exceeded", "unavailable"}, what
        assert {answer.retry_after for answer in answered[:shed]} == {1}, what


@pytest.mark.parametrize("edge", EDGES)
async def test_whoever_finds_no_room_is_told_at_once_and_room_comes_back(
    crowded: Crowded, http: httpx.AsyncClient, edge: str
) -> None:
    gateway = crowded.gateway
    caller = Caller(gateway, http, edge, (await gateway.new_partner()).secret_key)
    answered: list[Answer] = []

    async def ask(number: int) -> None:
        answered.append(await caller.get_quote(f"pq_test_absent{number}"))

    async def served() -> bool:
        return (await caller.get_quote("pq_test_absent")).code == "not_found"

    await eventually(served, "the quote service answers")
    crowded.cable.pinch()
    try:
        await asyncio.gather(*(ask(number) for number in range(CALLERS)))
    finally:
        crowded.cable.release()
    codes = [answer.code for answer in answered]
    shed = codes.count("overloaded")
    # One batch under way and one waiting, each of as many as there is room for.
    assert CALLERS - 2 * WAITING_MAX <= shed < CALLERS
    # At once: every one of them before the first of those who wait for an answer that does not come.
    assert codes[:shed] == ["overloaded"] * shed
    assert set(codes[shed:]) <= {"deadline_exceeded", "unavailable"}
    assert {answer.retry_after for answer in answered[:shed]} == {1}
    [row] = await rows_of(gateway.database, answered[0].request_id, 1)
    assert (row["outcome"], row["http_status"], row["edge"]) == ("overloaded", 503, edge)

    await eventually(served, "it is served again")
    answered.clear()
    await asyncio.gather(*(ask(number) for number in range(WAITING_MAX)))
    assert {answer.code for answer in answered} == {"not_found"}
