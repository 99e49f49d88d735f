"""Owns reading and making accounts and chain heads."""

from collections.abc import Collection
from typing import Any

from ledger.domain.accounts import Account
from ledger.domain.chain import first_link
from poolkit.database import Database

_FIND = "SELECT name, id FROM accounts WHERE name = ANY ($1::text[])"

_MAKE = """
INSERT INTO accounts (kind, organization_id, pool_id, currency, sub_account, name)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::smallint[], $6::text[])
ON CONFLICT DO NOTHING
"""

_MAKE_HEADS = """
INSERT INTO chain_heads (organization_id, link)
SELECT * FROM unnest($1::text[], $2::bytea[])
ON CONFLICT DO NOTHING
"""


async def find_accounts(database: Database, names: Collection[str]) -> dict[str, int]:
    """The ids of those accounts that exist, by name."""
    rows: list[Any] = await database.fetch(_FIND, list(names))
    return {row["name"]: row["id"] for row in rows}


async def make_accounts(database: Database, accounts: Collection[Account]) -> dict[str, int]:
    """The ids of the accounts by name; makes those that are missing. Safe to repeat, also at the same time."""
    found = await find_accounts(database, [account.name for account in accounts])
    # Sorted: two who make the same ones must not wait for each other in a circle.
    missing = sorted((account for account in accounts if account.name not in found), key=lambda account: account.name)
    if not missing:
        return found
    await database.execute(
        _MAKE,
        [account.kind for account in missing],
        [account.organization_id for account in missing],
        [account.pool_id for account in missing],
        [account.currency for account in missing],
        [account.sub_account for account in missing],
        [account.name for account in missing],
    )
    return await find_accounts(database, [account.name for account in accounts])


async def make_heads(database: Database, organization_ids: Collection[str]) -> None:
    """Begins the chains that do not exist yet. Safe to repeat."""
    ordered = sorted(organization_ids)
    await database.execute(_MAKE_HEADS, ordered, [first_link(organization_id) for organization_id in ordered])
