"""Every look-up of support's search goes by an index, in all five services: their own statements, as planned for them.

The tables are small, so a scan would look cheap; it is ruled out, and a plan that has one anyway has no index to go by.
A few hundred rows are needed all the same: of an empty table every index looks as good as any other.
"""

from __future__ import annotations

import json
from typing import Any

import asyncpg
import pytest

import gateway.store.journey
import ledger.store.journey
import quote.store.journey
import trade.store.journey
import webhook_ingest.store.journey
from tests.integration.databases import RunningPostgres
from tests.integration.plans import off_the_index, small_database

STORES = {
    "gateway": (gateway.store.journey, 5),
    "quote": (quote.store.journey, 6),
    "trade": (trade.store.journey, 8),
    "webhook_ingest": (webhook_ingest.store.journey, 6),
    "ledger": (ledger.store.journey, 6),
}
"""Each service's statements, and how many there are at least."""

_VALUES: dict[str, object] = {"text[]": ["x"], "int8[]": [1], "text": "x", "int8": 10, "int4": 10}


def statements(module: object) -> dict[str, str]:
    """Every statement of the module, by its name."""
    texts = {name: value for name, value in vars(module).items() if name.isupper() and isinstance(value, str)}
    return {name: text for name, text in texts.items() if text.lstrip(" (\n").startswith(("SELECT", "WITH"))}


async def planned(connection: asyncpg.Connection[asyncpg.Record], statement: str) -> dict[str, Any]:
    parameters = (await connection.prepare(statement)).get_parameters()
    values = [_VALUES[parameter.name] for parameter in parameters]
    [[answer]] = await connection.fetch(f"EXPLAIN (FORMAT JSON) {statement}", *values)
    plan: dict[str, Any] = json.loads(answer)[0]["Plan"]
    return plan


@pytest.mark.parametrize("service", STORES)
async def test_every_look_up_of_a_journey_is_on_an_index(service: str, postgres: RunningPostgres) -> None:
    module, fewest = STORES[service]
    found = statements(module)
    assert len(found) >= fewest, sorted(found)
    connection = await small_database(postgres, service, list(found.values()))
    try:
        for name, statement in found.items():
            assert off_the_index(await planned(connection, statement)) == [], f"{service} {name}"
    finally:
        await connection.close()


async def test_a_look_up_without_an_index_would_be_seen(postgres: RunningPostgres) -> None:
    # The second is answered by reading all of an index.
    found = {
        "Seq Scan on request_log": "SELECT * FROM request_log WHERE key_label = ANY ($1::text[])",
        "Index Scan on request_log": "SELECT * FROM request_log WHERE duration_us = $1 ORDER BY writer_id, number",
    }
    connection = await small_database(postgres, "gateway", list(found.values()))
    try:
        for seen, statement in found.items():
            assert off_the_index(await planned(connection, statement)) == [seen]
    finally:
        await connection.close()
