"""Every search of support leaves a row that nobody can change, and nothing is told without one."""

import asyncpg
import pytest

from poolkit.database import Record
from poolkit.errors import DeadlineExceeded, InvalidRequest, NotFound
from poolkit.ids import new_id
from poolkit.security import new_api_key
from pools.gateway.v1 import admin_pb2
from tests.integration.gateway.calls import Caller
from tests.integration.gateway.house import RunningGateway
from tests.integration.gateway.neighbours import House


async def ask(gateway: RunningGateway, wanted: str, **fields: str) -> admin_pb2.FindJourneyResponse:
    return await gateway.internal.support.FindJourney(admin_pb2.FindJourneyRequest(id=wanted, **fields))


async def accesses(gateway: RunningGateway, wanted: str) -> list[Record]:
    return await gateway.database.fetch(
        "SELECT * FROM support_accesses WHERE searched_id = $1 ORDER BY access_id", wanted
    )


async def test_who_searched_for_what_and_whether_it_was_found_is_kept(house: House) -> None:
    gateway = house.gateway
    caller = Caller(gateway, house.http, "rest", (await house.onboard()).secret_key)
    for _ in range(2):
        quoted = await caller.create_quote(clientReference="searched for")
    quote_id = quoted.body["quoteId"]
    await ask(gateway, quote_id, asked_by="Anna (root)")
    await ask(gateway, "searched for")
    unknown, mistyped, live = new_id("pt", "test"), new_id("pt", "test")[:-1], new_id("pt", "live")
    with pytest.raises(NotFound, match="no journey carries"):
        await ask(gateway, unknown)
    for wrong, why in ((mistyped, "mistyped"), (live, "other_mode"), (new_id("org"), "not_searchable")):
        with pytest.raises(InvalidRequest) as refused:
            await ask(gateway, wrong)
        assert (refused.value.field, refused.value.metadata["why"]) == ("id", why)
    outcomes = {}
    for wanted in (quote_id, "searched for", unknown, mistyped, live):
        [row] = await accesses(gateway, wanted)
        assert row["caller"] == "test"
        assert row["request_id"].startswith("req_")
        assert len(row["traceparent"]) == 55
        outcomes[wanted] = (row["asked_by"], row["outcome"])
    assert outcomes == {
        quote_id: ("Anna (root)", "found"),
        "searched for": ("", "listed"),
        unknown: ("", "not_found"),
        mistyped: ("", "mistyped"),
        live: ("", "other_mode"),
    }


async def test_a_key_pasted_into_the_search_is_neither_asked_for_nor_written_down(
    alone: RunningGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    key = new_api_key("sk", "test")
    with pytest.raises(InvalidRequest, match="leaked") as refused:
        await ask(alone, key)
    assert refused.value.metadata["why"] == "secret"
    [row] = await accesses(alone, "sk_test_…")
    assert row["outcome"] == "secret"
    assert key.removeprefix("sk_test_") not in capsys.readouterr().out + str(refused.value)


async def test_neither_the_service_nor_the_owner_of_the_database_can_change_an_access(alone: RunningGateway) -> None:
    await ask(alone, "who looked for this")
    [before] = await accesses(alone, "who looked for this")
    for statement in (
        "UPDATE support_accesses SET asked_by = 'nobody'",
        "DELETE FROM support_accesses",
        "TRUNCATE support_accesses",
    ):
        for database in (alone.runtime.database, alone.database):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await database.execute(statement)
    assert await accesses(alone, "who looked for this") == [before]


async def test_nothing_is_told_that_cannot_be_written_down(alone: RunningGateway) -> None:
    async with alone.database.transaction() as unit:
        # Readers pass this lock, writers wait for it.
        await unit.execute("LOCK TABLE support_accesses IN SHARE MODE")
        question = admin_pb2.FindJourneyRequest(id="cannot be written down")
        with pytest.raises(DeadlineExceeded):
            await alone.internal.support.FindJourney(question, timeout=0.5)
