"""How a statement would be executed, asked of the database itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from poolkit.database import Database


async def plan_nodes(database: Database, sql: str, *, arguments: int) -> list[dict[str, Any]]:
    """The nodes of the plan that is kept for whatever arguments come, the outermost first."""
    async with database.transaction() as unit:
        await unit.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        await unit.execute(f"PREPARE asked AS {sql}")
        rows = await unit.fetch(
            "EXPLAIN (FORMAT JSON) EXECUTE asked" + (f" ({', '.join(['NULL'] * arguments)})" if arguments else "")
        )
        await unit.execute("DEALLOCATE asked")
    [plan] = rows[0][0]
    return list(_walk(plan["Plan"]))


def _walk(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _walk(child)


def kinds(nodes: list[dict[str, Any]]) -> set[str]:
    """What the nodes do: `Index Scan`, `Sort`."""
    return {node["Node Type"] for node in nodes}


def indexes(nodes: list[dict[str, Any]]) -> set[str]:
    """The indexes that are looked into."""
    return {node["Index Name"] for node in nodes if "Index Name" in node}
