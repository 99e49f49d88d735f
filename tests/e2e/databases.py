"""What the services' databases hold, read as a superuser: for what no API tells."""

import asyncio
from decimal import Decimal
from typing import Any

import asyncpg

from poolctl.session import Addresses


class Databases:
    """One connection a service, opened when first used. Reads only."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses
        self._connections: dict[str, asyncpg.Connection] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def rows(self, service: str, sql: str, *arguments: Any) -> list[dict[str, Any]]:
        """Rows of `service` (`trade`, `webhook-ingest`, …) as dictionaries."""
        async with self._locks.setdefault(service, asyncio.Lock()):
            if service not in self._connections:
                self._connections[service] = await asyncpg.connect(
                    self._addresses.admin_databases[service],
                    server_settings={"default_transaction_read_only": "on"},
                )
            return [dict(row) for row in await self._connections[service].fetch(sql, *arguments)]

    async def value(self, service: str, sql: str, *arguments: Any) -> Any:
        """The only column of the only row; None where there is none."""
        found = await self.rows(service, sql, *arguments)
        return next(iter(found[0].values())) if found else None

    async def legs_of_trade(self, trade_id: str) -> dict[tuple[str, str, str], Decimal]:
        """What a trade's transactions moved: by reason, kind of account and currency."""
        found = await self.rows(
            "ledger",
            "SELECT reason, kind, currency, sum(amount) AS amount FROM journal WHERE trade_id = $1 GROUP BY 1, 2, 3",
            trade_id,
        )
        return {(row["reason"], row["kind"], row["currency"]): row["amount"] for row in found}

    async def hold_of_trade(self, trade_id: str) -> str | None:
        """The state of its hold."""
        state: str | None = await self.value("ledger", "SELECT state FROM holds WHERE trade_id = $1", trade_id)
        return state

    async def close(self) -> None:
        """Closes the connections."""
        for connection in self._connections.values():
            await connection.close()
