"""Statements that are handed many keys look each of them up, also by a plan that was made in a quiet hour.

The plan of a hot statement is kept. When few intents are undecided, or no quote is open, reading all of those is the
cheapest way, and when thousands are, it is what the plan still does, and compares each with each key.
"""

from __future__ import annotations

from typing import Any

import pytest

from gateway.store import deliveries
from quote.store import consumptions, holds
from tests.integration.databases import RunningPostgres
from tests.integration.plans import indexes, kept_plan, off_the_index, small_database, walk
from trade.store import intents, reserving
from webhook_ingest.store import unprocessed

EMPTIED = {"quote": ["quote_holds"], "webhook_ingest": ["unprocessed_webhooks"]}
"""Tables that hold only what is open."""

STATEMENTS = {
    ("gateway", "what came of deliveries"): deliveries._FINISH,
    ("quote", "consume"): consumptions._CONSUME,
    ("quote", "reject"): holds._REJECT,
    ("quote", "release"): holds._RELEASE_SOME,
    ("trade", "decide to decline"): intents._DECLINING,
    ("trade", "decline"): intents._DECLINED,
    ("trade", "take over"): intents._TAKE_OVER,
    ("trade", "reserve"): reserving._RESERVE,
    ("webhook_ingest", "claim"): unprocessed._CLAIM,
    ("webhook_ingest", "finish"): unprocessed._FINISH,
    ("webhook_ingest", "give back"): unprocessed._GIVE_BACK,
    ("webhook_ingest", "take up again"): unprocessed._TAKE_UP_AGAIN,
}

SPELLED_PLAINLY = {
    ("gateway", "what came of deliveries"): ("d.state || ''", "d.state"),
    ("quote", "consume"): ("h.organization_id || ''", "h.organization_id"),
    ("quote", "release"): (
        "quote_holds WHERE quote_id = ANY (ARRAY(SELECT quote_id FROM due)) RETURNING pool_id, currency, amount",
        "quote_holds h USING due d WHERE h.quote_id = d.quote_id RETURNING h.pool_id, h.currency, h.amount",
    ),
    ("trade", "reserve"): (intents.STATE, "i.state"),
    ("webhook_ingest", "finish"): ("AND held.webhook_id = ANY ($1)", ""),
}
"""What makes some of them look keys up, and what stood there before."""


async def plan_of_a_quiet_hour(postgres: RunningPostgres, service: str, statement: str) -> dict[str, Any]:
    connection = await small_database(postgres, service, [statement])
    try:
        for table in EMPTIED.get(service, ()):
            await connection.execute(f"DELETE FROM {table}")
        await connection.execute("ANALYZE")
        return await kept_plan(connection, statement)
    finally:
        await connection.close()


def more_than_keys(plan: dict[str, Any]) -> list[str]:
    """What is read whole, or for all of an organization, of whose quotes thousands may be open."""
    return off_the_index(plan) + sorted(indexes(list(walk(plan))) & {"quote_holds_organization"})


@pytest.mark.parametrize(("service", "what"), STATEMENTS)
async def test_keys_are_looked_up(service: str, what: str, postgres: RunningPostgres) -> None:
    assert more_than_keys(await plan_of_a_quiet_hour(postgres, service, STATEMENTS[service, what])) == []


@pytest.mark.parametrize(("service", "what"), SPELLED_PLAINLY)
async def test_a_statement_that_reads_all_that_is_open_would_be_seen(
    service: str, what: str, postgres: RunningPostgres
) -> None:
    said, plainly = SPELLED_PLAINLY[service, what]
    assert said in STATEMENTS[service, what]
    plan = await plan_of_a_quiet_hour(postgres, service, STATEMENTS[service, what].replace(said, plainly))
    assert more_than_keys(plan)
