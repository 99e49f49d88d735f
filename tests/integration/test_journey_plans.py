"""Every look-up of support's search goes by an index, in all five services: their own statements, as planned for them.

The tables are small, so a scan would look cheap; it is ruled out, and a plan that has one anyway has no index to go by.
A few hundred rows are needed all the same: of an empty table every index looks as good as any other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

import gateway.store.journey
import ledger.store.journey
import quote.store.journey
import trade.store.journey
import webhook_ingest.store.journey
from tests.integration.databases import RunningPostgres

STORES = {
    "gateway": (gateway.store.journey, 5),
    "quote": (quote.store.journey, 6),
    "trade": (trade.store.journey, 8),
    "webhook_ingest": (webhook_ingest.store.journey, 6),
    "ledger": (ledger.store.journey, 6),
}
"""Each service's statements, and how many there are at least."""

_SCANS = ("Seq Scan", "Tid Scan", "Sample Scan")
_INDEX_SCANS = ("Index Scan", "Index Only Scan", "Bitmap Index Scan")
ROWS = 400
_COLUMNS = """
SELECT c.column_name, c.data_type, c.is_nullable = 'YES' AS nullable FROM information_schema.columns c
WHERE c.table_name = $1 AND c.table_schema = 'public' AND c.is_identity = 'NO' AND c.is_generated = 'NEVER'
"""
_MADE_UP = {
    "text": "md5('{column}' || n)", "bytea": "''::bytea", "boolean": "n % 2 = 0", "date": "current_date - n / 10",
    "timestamp with time zone": "now() - n * interval '1 second'", "ARRAY": "'{{}}'", "jsonb": "'{{}}'::jsonb",
}  # fmt: skip
"""By type, what row `n` holds; numbers where nothing is said."""
_VALUES: dict[str, object] = {"text[]": ["x"], "int8[]": [1], "text": "x", "int8": 10, "int4": 10}


def statements(module: object) -> dict[str, str]:
    """Every statement of the module, by its name."""
    texts = {name: value for name, value in vars(module).items() if name.isupper() and isinstance(value, str)}
    return {name: text for name, text in texts.items() if text.lstrip(" (\n").startswith(("SELECT", "WITH"))}


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def off_the_index(plan: dict[str, Any]) -> list[str]:
    """Nodes that read a whole table, or a whole index, which is no better."""
    return [
        f"{node['Node Type']} on {node.get('Relation Name') or node.get('Index Name')}"
        for node in nodes(plan)
        if node["Node Type"] in _SCANS or (node["Node Type"] in _INDEX_SCANS and "Index Cond" not in node)
    ]


async def small_database(
    postgres: RunningPostgres, service: str, found: dict[str, str]
) -> asyncpg.Connection[asyncpg.Record]:
    """The statements' tables with rows that nothing but their types decided, planned for as services do."""
    words = set(re.findall(r"\w+", " ".join(found.values())))
    connection = await asyncpg.connect(postgres.admin_url(await postgres.fresh_database(service)))
    for [table] in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
        if table not in words:
            continue
        checks = await connection.fetch(
            "SELECT conname FROM pg_constraint WHERE conrelid = $1::text::regclass AND contype = 'c'", table
        )
        rules = ["DISABLE TRIGGER ALL", *(f'DROP CONSTRAINT "{check["conname"]}"' for check in checks)]
        await connection.execute(f"ALTER TABLE {table} {', '.join(rules)}")
        columns = await connection.fetch(_COLUMNS, table)
        names = ", ".join(f'"{column["column_name"]}"' for column in columns)
        values = ", ".join(made_up(column) for column in columns)
        await connection.execute(
            f"INSERT INTO {table} ({names}) SELECT {values} FROM generate_series(1, {ROWS}) n ON CONFLICT DO NOTHING"
        )
    await connection.execute("ANALYZE")
    for setting in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin"):
        await connection.execute(f"SET {setting} = off")
    return connection


def made_up(column: asyncpg.Record) -> str:
    value = _MADE_UP.get(column["data_type"], "n").format(column=column["column_name"])
    return f"CASE WHEN n % 2 = 0 THEN {value} END" if column["nullable"] else value


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
    connection = await small_database(postgres, service, found)
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
    connection = await small_database(postgres, "gateway", found)
    try:
        for seen, statement in found.items():
            assert off_the_index(await planned(connection, statement)) == [seen]
    finally:
        await connection.close()
