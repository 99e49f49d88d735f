"""Closes as finance's tools read them: run with progress, one by one, in pages, and their exceptions as a stream."""

from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import pytest

from ledger.api.close_service import CloseService
from poolkit.errors import InvalidRequest, NotFound
from poolkit.rpc.channels import open_channel
from poolkit.rpc.server import RpcServer
from pools.ledger.v1 import close_pb2, close_pb2_grpc
from pools_contracts.ledger import LedgerClient
from tests.integration.databases import RunningPostgres
from tests.integration.ledger.closing import PLANTS, Day, open_day
from tests.integration.ledger.owners import DAY

Kind = close_pb2.ExceptionKind


class Reader:
    """The RPCs of one ledger."""

    def __init__(self, client: LedgerClient, day: Day) -> None:
        self.day = day
        self._closes = client.closes

    async def run(self, business_date: date | str = DAY) -> tuple[list[str], close_pb2.CloseOutcome]:
        request = close_pb2.RunCloseRequest(business_date=str(business_date), requested_by="a test")
        steps = [step async for step in self._closes.RunClose(request)]
        assert [step.HasField("outcome") for step in steps] == [False] * (len(steps) - 1) + [True]
        return [step.progress.message for step in steps[:-1]], steps[-1].outcome

    async def get(self, business_date: date | str = DAY, revision: int = 0) -> close_pb2.Close:
        request = close_pb2.GetCloseRequest(business_date=str(business_date), revision=revision)
        return (await self._closes.GetClose(request)).close

    async def page(self, **asked: Any) -> close_pb2.ListClosesResponse:
        return await self._closes.ListCloses(close_pb2.ListClosesRequest(**asked))

    async def exceptions(self, **asked: Any) -> list[close_pb2.CloseException]:
        request = close_pb2.StreamCloseExceptionsRequest(**{"business_date": str(DAY), **asked})
        return [one async for page in self._closes.StreamCloseExceptions(request) for one in page.exceptions]


@pytest.fixture(scope="module")
async def reader(postgres: RunningPostgres) -> AsyncIterator[Reader]:
    """A day that was closed clean, and again with something wrong; the date after it was closed as well."""
    async with open_day(postgres) as day:
        server = RpcServer("127.0.0.1:0", name="internal")
        service = CloseService(day.books.database, day.run)
        server.add(close_pb2_grpc.add_CloseServiceServicer_to_server, service)
        channel = open_channel(f"127.0.0.1:{await server.start()}", "test")
        opened = Reader(LedgerClient(channel), day)
        await day.be_clean()
        await opened.run()
        for plant in list(PLANTS.values())[:4]:
            await plant(day)
        await opened.run()
        yield opened
        await channel.close()
        await server.stop(0)


async def test_a_run_tells_what_it_does_and_answers_the_close_as_it_is_read_ever_after(reader: Reader) -> None:
    told, outcome = await reader.run()
    assert told == [f"Close 2 of {DAY} is stored; the trades are told."]
    assert not outcome.created
    assert outcome.close == await reader.get() == await reader.get(revision=2)
    assert outcome.close.changes.added_count == outcome.close.exception_count == 4
    assert outcome.close.balanced
    assert len(bytes.fromhex(outcome.close.signature.signature)) == 64
    first = await reader.get(revision=1)
    assert (first.exception_count, first.HasField("changes")) == (0, False)


async def test_exceptions_stream_by_number_from_anywhere_and_of_some_kinds_alone(reader: Reader) -> None:
    found = await reader.exceptions()
    assert [one.number for one in found] == [1, 2, 3, 4]
    assert await reader.exceptions(after_number=2) == found[2:]
    assert await reader.exceptions(revision=1) == []
    [mismatch] = await reader.exceptions(kinds=[Kind.EXCEPTION_KIND_AMOUNT_MISMATCH])
    assert mismatch in found
    assert mismatch.runbook == "docs/runbooks/exceptions.md#amount_mismatch"
    assert mismatch.next_step
    said = {(each.side, each.of): f"{each.amount.amount} {each.amount.currency}" for each in mismatch.amounts}
    assert said == {
        ("trade", "fiat"): "100.00 EUR",
        ("trade", "fee"): "0.20 EUR",
        ("trade", "crypto"): "107.904009 USDT",
        ("ledger", "fiat"): "-100.00 EUR",
        ("ledger", "fee"): "0.20 EUR",
        ("ledger", "crypto"): "107.904009 USDT",
        ("report", "crypto"): "107.904008 USDT",
        ("trade", "reported crypto"): "107.904009 USDT",
    }
    assert mismatch.age_seconds == 12 * 3600


async def test_closes_list_newest_first_in_pages_that_miss_none(reader: Reader) -> None:
    first = await reader.page(page_size=1)
    second = await reader.page(page_size=1, page_token=first.next_page_token)
    assert [close.revision for page in (first, second) for close in page.closes] == [2, 1]
    assert second.next_page_token == ""


async def test_what_is_not_there_and_what_cannot_be_asked_is_refused(reader: Reader) -> None:
    for missing in (reader.get(DAY - timedelta(days=1)), reader.get(revision=3)):
        with pytest.raises(NotFound):
            await missing
    for wrong in (
        reader.run("yesterday"),
        reader.get("2026-11-31"),
        reader.get(revision=-1),
        reader.page(page_size=201),
        reader.page(page_token="MTo"),
        reader.exceptions(after_number=-1),
        reader.exceptions(kinds=[0]),
    ):
        with pytest.raises(InvalidRequest):
            await wrong
