"""How a statement would be executed, asked of the database itself, and a small database to ask it of."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import asyncpg

from poolkit.database import Database, Unit
from tests.integration.databases import RunningPostgres

ROWS = 400
_SCANS = ("Seq Scan", "Tid Scan", "Sample Scan")
_INDEX_SCANS = ("Index Scan", "Index Only Scan", "Bitmap Index Scan")
_COLUMNS = """
SELECT c.column_name, c.data_type, c.is_nullable = 'YES' AS nullable FROM information_schema.columns c
WHERE c.table_name = $1 AND c.table_schema = 'public' AND c.is_identity = 'NO' AND c.is_generated = 'NEVER'
"""
_MADE_UP = {
    "text": "md5('{column}' || n)", "bytea": "''::bytea", "boolean": "n % 2 = 0", "date": "current_date - n / 10",
    "timestamp with time zone": "now() - n * interval '1 second'", "ARRAY": "'{{}}'", "jsonb": "'{{}}'::jsonb",
}  # fmt: skip
"""By type, what row `n` holds; numbers where nothing is said."""


async def plan_nodes(database: Database, sql: str) -> list[dict[str, Any]]:
    """The nodes of the plan that is kept for whatever arguments come, the outermost first."""
    async with database.transaction() as unit:
        return list(walk(await kept_plan(unit, sql)))


async def kept_plan(connection: Unit | asyncpg.Connection[asyncpg.Record], sql: str) -> dict[str, Any]:
    """The plan that is kept for whatever arguments come."""
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    await connection.execute(f"PREPARE asked AS {sql}")
    arguments = max((int(number) for number in re.findall(r"\$(\d+)", sql)), default=0)
    rows = await connection.fetch(
        "EXPLAIN (FORMAT JSON) EXECUTE asked" + (f" ({', '.join(['NULL'] * arguments)})" if arguments else "")
    )
    await connection.execute("DEALLOCATE asked")
    # A service's connections read JSON by themselves.
    [told] = json.loads(rows[0][0]) if isinstance(rows[0][0], str) else rows[0][0]
    plan: dict[str, Any] = told["Plan"]
    return plan


def walk(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The node and all below it."""
    yield node
    for child in node.get("Plans", ()):
        yield from walk(child)


def kinds(nodes: list[dict[str, Any]]) -> set[str]:
    """What the nodes do: `Index Scan`, `Sort`."""
    return {node["Node Type"] for node in nodes}


def indexes(nodes: list[dict[str, Any]]) -> set[str]:
    """The indexes that are looked into."""
    return {node["Index Name"] for node in nodes if "Index Name" in node}


def off_the_index(plan: dict[str, Any]) -> list[str]:
    """Nodes that read a whole table, or a whole index, which is no better."""
    return [
        f"{node['Node Type']} on {node.get('Relation Name') or node.get('Index Name')}"
        for node in walk(plan)
        if node["Node Type"] in _SCANS or (node["Node Type"] in _INDEX_SCANS and "Index Cond" not in node)
    ]


async def small_database(
    postgres: RunningPostgres, service: str, statements: list[str]
) -> asyncpg.Connection[asyncpg.Record]:
    """The statements' tables with rows that nothing but their types decided, planned for as services do.

    Their states are none that a service knows, so an index of rows in one state is empty.
    """
    words = set(re.findall(r"\w+", " ".join(statements)))
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
        values = ", ".join(_made_up(column) for column in columns)
        await connection.execute(
            f"INSERT INTO {table} ({names}) SELECT {values} FROM generate_series(1, {ROWS}) n ON CONFLICT DO NOTHING"
        )
    await connection.execute("ANALYZE")
    for setting in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin"):
        await connection.execute(f"SET {setting} = off")
    return connection


def _made_up(column: asyncpg.Record) -> str:
    value = _MADE_UP.get(column["data_type"], "n").format(column=column["column_name"])
    return f"CASE WHEN n % 2 = 0 THEN {value} END" if column["nullable"] else value
