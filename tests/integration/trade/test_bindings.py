"""A key stays bound to its trade as long as there is the trade: nobody who serves can take either away."""

from __future__ import annotations

import pytest

from poolkit.database import Database


@pytest.mark.parametrize("table", ["intents", "trades"])
async def test_who_serves_can_delete_neither_what_binds_a_key_nor_its_trade(database: Database, table: str) -> None:
    with pytest.raises(Exception, match="permission denied"):
        await database.execute(f"DELETE FROM {table}")
