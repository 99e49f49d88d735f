"""Owns the funding references' rows."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from poolkit.database import Database

_MAKE = """
INSERT INTO funding_references (reference, organization_id, currency, request_id, traceparent)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
ON CONFLICT DO NOTHING
"""

_OF = """
SELECT reference, organization_id, currency FROM funding_references
JOIN unnest($1::text[], $2::text[]) AS asked (organization_id, currency) USING (organization_id, currency)
"""

_FIND = "SELECT reference, organization_id, currency FROM funding_references WHERE reference = ANY ($1::text[])"


class FundingReference(NamedTuple):
    """Whose a code is."""

    reference: str
    organization_id: str
    currency: str


class NewReference(NamedTuple):
    """A code to keep for an organization and currency, and the operation that asks for it."""

    reference: str
    organization_id: str
    currency: str
    request_id: str
    traceparent: str


async def keep_references(database: Database, references: Sequence[NewReference]) -> None:
    """Stores those whose organization and currency have none yet, and whose code is free. Sorted by the caller."""
    await database.execute(_MAKE, *zip(*references, strict=True))


async def references_of(
    database: Database, asked: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], FundingReference]:
    """The references of organizations and currencies, where there are any."""
    rows: list[Any] = await database.fetch(_OF, *zip(*asked, strict=True))
    return {(row["organization_id"], row["currency"]): FundingReference(*row) for row in rows}


async def find_references(database: Database, references: Sequence[str]) -> dict[str, FundingReference]:
    """What is known of normalized codes."""
    rows: list[Any] = await database.fetch(_FIND, references)
    return {row["reference"]: FundingReference(*row) for row in rows}
