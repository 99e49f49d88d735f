"""Copies everything that five services keep about one journey, as often as asked for, in SQL: ids and times differ."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import asyncpg

from poolkit.ids import event_id

CHUNK = 100_000
MILLISECONDS_APART = 10
REPEATED = "order that comes again"
"""The client reference of every hundredth journey."""

_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_EVENT_TYPES = ("pool.transaction.reserved", "pool.transaction.settled")
# What counts up: by table and column, how much a copy adds.
_COUNTERS = {
    ("request_log", "number"): 10,
    ("inbox", "sequence"): 2,
    ("inbox", "offset"): 2,
    ("transactions", "number"): 2,
    ("transactions", "sequence"): 1,
    ("entries", "transaction_number"): 2,
    ("entries", "sequence"): 1,
}
_COLUMNS = """
SELECT c.table_name, c.column_name, c.data_type FROM information_schema.columns c
JOIN information_schema.tables t USING (table_schema, table_name)
WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE' AND c.is_identity = 'NO' AND c.is_generated = 'NEVER'
  AND c.table_name <> 'support_accesses'
ORDER BY c.table_name, c.ordinal_position
"""
# Indexes that no constraint needs are made after the rows, which takes a fraction of the time.
_INDEXES = """
SELECT i.indexrelid::regclass::text AS name, pg_get_indexdef(i.indexrelid) AS definition
FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE n.nspname = 'public' AND t.relname = ANY ($1::text[])
  AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid)
"""


@dataclass(frozen=True, slots=True)
class Template:
    """The journey that is copied."""

    trade_id: str
    client_reference: str
    ids: frozenset[str]
    """Every id of the journey but the organization's."""

    def copied(self, id_: str, number: int) -> str:
        """The id that copy `number` has in this one's place."""
        for type_ in _EVENT_TYPES:
            if id_ == event_id(self.trade_id, type_):
                return event_id(self.copied(self.trade_id, number), type_)
        return _ULID.sub(lambda found: f"{found[0][:10]}{number:016X}", id_)


async def copy(url: str, template: Template, copies: int, say: Callable[[str], None]) -> int:
    """Fills one service's database; answers how many rows were added."""
    connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(url)
    try:
        # Neither foreign keys nor triggers look at copies, but for those of the ledger, which never stand aside.
        await connection.execute("SET session_replication_role = replica; SET maintenance_work_mem = '512MB'")
        statements = await _statements(connection, template)
        tables = sorted({table for table, _ in statements})
        indexes = await connection.fetch(_INDEXES, tables)
        for index in indexes:
            await connection.execute(f"DROP INDEX {index['name']}")
        if "entries" in tables:
            await connection.execute("ALTER TABLE entries DISABLE TRIGGER balanced")
        for first in range(1, copies + 1, CHUNK):
            last = min(first + CHUNK - 1, copies)
            for _, statement in statements:
                await connection.execute(statement, first, last)
            say(f"  {last:,} of {copies:,}")
        for index in indexes:
            await connection.execute(index["definition"])
        if "entries" in tables:
            await connection.execute("ALTER TABLE entries ENABLE ALWAYS TRIGGER balanced")
        await connection.execute("ANALYZE")
    finally:
        await connection.close()
    return len(statements) * copies


async def _statements(connection: asyncpg.Connection[asyncpg.Record], template: Template) -> Sequence[tuple[str, str]]:
    """One INSERT for each row of the template's, which copies it `$1` to `$2`."""
    columns: dict[str, dict[str, str]] = {}
    for column in await connection.fetch(_COLUMNS):
        columns.setdefault(column["table_name"], {})[column["column_name"]] = column["data_type"]
    found = []
    for table, types in columns.items():
        texts = [name for name, type_ in types.items() if type_ == "text"]
        if table == "entries":
            condition = "transaction_number IN (SELECT number FROM transactions WHERE trade_id = ANY ($1::text[]))"
        elif texts:
            condition = " OR ".join(f'"{name}" = ANY ($1::text[])' for name in texts)
        else:
            continue
        rows = await connection.fetch(f"SELECT ctid, * FROM {table} WHERE {condition}", sorted(template.ids))
        found += [(table, _insert(table, types, row, template)) for row in rows]
    return found


def _insert(table: str, types: Mapping[str, str], row: asyncpg.Record, template: Template) -> str:
    values = [_value(table, name, type_, row[name], template) for name, type_ in types.items()]
    names = ", ".join(f'"{name}"' for name in types)
    block, item = row["ctid"]
    return (
        f"INSERT INTO {table} ({names}) SELECT {', '.join(values)} "
        "FROM (SELECT n, lpad(upper(to_hex(n)), 16, '0') AS tail FROM generate_series($1::int, $2::int) AS n) copy "
        f"CROSS JOIN {table} t WHERE t.ctid = '({block},{item})'"
    )


def _value(table: str, name: str, type_: str, value: object, template: Template) -> str:
    """The SQL that makes a copy's value of the template's."""
    if value is None:
        return f't."{name}"'
    if (table, name) in _COUNTERS:
        return f't."{name}" + copy.n::bigint * {_COUNTERS[table, name]}'
    if type_.startswith("timestamp"):
        return f"t.\"{name}\" - copy.n * interval '{MILLISECONDS_APART} ms'"
    if type_ != "text" or value not in template.ids:
        return f't."{name}"'
    for event_type in _EVENT_TYPES:
        if value == event_id(template.trade_id, event_type):
            told = f"{_copied(template.trade_id)} || ':{event_type}'"
            return f"encode(sha256(convert_to({told}, 'UTF8')), 'hex')"
    if value == template.client_reference:
        return f"CASE WHEN copy.n % 100 = 0 THEN '{REPEATED}' ELSE {_copied(str(value))} END"
    return _copied(str(value))


def _copied(id_: str) -> str:
    """The SQL of `Template.copied`, for ids that carry a ULID."""
    found = _ULID.search(id_)
    if found is None:
        raise ValueError(f"{id_!r} carries no ULID: copies of it would be the same")
    before, after = id_[: found.start() + 10], id_[found.end() :]
    return f"('{before}' || copy.tail || '{after}')"
