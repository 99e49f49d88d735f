"""Every call has a deadline, each hop passes on what is left, and work nobody waits for ends."""

import asyncio
from typing import Any

import pytest

import pools_contracts.quote
from poolkit.errors import DeadlineExceeded
from poolkit.rpc.deadlines import current_deadline, deadline, shortened
from pools.quote.v1 import quote_pb2
from tests.integration.poolkit.quotes import serving

REQUEST = quote_pb2.GetQuotesRequest()


async def answer(request: Any, context: Any) -> quote_pb2.GetQuotesResponse:
    return quote_pb2.GetQuotesResponse()


async def test_every_call_has_a_deadline_and_the_server_knows_it() -> None:
    seen = []

    async def look(request: Any, context: Any) -> quote_pb2.GetQuotesResponse:
        seen.append((context.time_remaining(), shortened(60)))
        return quote_pb2.GetQuotesResponse()

    async with serving(look) as (_, client, server):
        await client.quote.GetQuotes(REQUEST)
        async with pools_contracts.quote.connect(f"127.0.0.1:{server.port}") as plain:
            await plain.quote.GetQuotes(REQUEST)
    for remaining, passed_on in seen:
        assert 1.5 < remaining <= 2.1
        assert 1.4 < passed_on < remaining


async def test_each_hop_passes_on_what_is_left_less_a_margin() -> None:
    seen: list[float] = []

    async def last(request: Any, context: Any) -> quote_pb2.GetQuotesResponse:
        seen.append(context.time_remaining())
        return quote_pb2.GetQuotesResponse()

    async with serving(last) as (_, next_client, _):

        async def first(request: Any, context: Any) -> quote_pb2.GetQuotesResponse:
            seen.append(context.time_remaining())
            response: quote_pb2.GetQuotesResponse = await next_client.quote.GetQuotes(request)
            return response

        async with serving(first) as (_, client, _):
            await client.quote.GetQuotes(REQUEST, timeout=0.9)
    assert 0.5 < seen[1] < seen[0] - 0.01
    assert seen[0] <= 1.0


async def test_a_deadline_that_runs_out_ends_the_callees_work() -> None:
    ended = asyncio.Event()

    async def wait(request: Any, context: Any) -> quote_pb2.GetQuotesResponse:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    async with serving(wait) as (_, client, _):
        with pytest.raises(DeadlineExceeded):
            await client.quote.GetQuotes(REQUEST, timeout=0.1)
        await asyncio.wait_for(ended.wait(), 5)
        ended.clear()
        with deadline(0.1), pytest.raises(DeadlineExceeded):
            await client.quote.GetQuotes(REQUEST)
        await asyncio.wait_for(ended.wait(), 5)
        assert current_deadline.get() == 0.0


async def test_a_call_with_no_time_left_is_not_made() -> None:
    async with serving(answer) as (servicer, client, _):
        with deadline(0.001), pytest.raises(DeadlineExceeded):
            await client.quote.GetQuotes(REQUEST)
        assert servicer.calls == 0


async def test_a_caller_that_goes_away_cancels_the_callees_work() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def wait(request: Any, context: Any) -> quote_pb2.GetQuotesResponse:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    async def call(client: Any) -> None:
        await client.quote.GetQuotes(REQUEST)

    async with serving(wait) as (_, client, _):
        task = asyncio.create_task(call(client))
        await asyncio.wait_for(begun.wait(), 5)
        task.cancel()
        await asyncio.wait_for(ended.wait(), 5)
