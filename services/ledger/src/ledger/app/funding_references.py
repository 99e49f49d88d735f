"""Owns making funding references, once for each organization and currency, and telling whose one is."""

import asyncio
import secrets
from collections.abc import Sequence
from typing import Final

from ledger.domain.references import RANDOM_BITS, is_well_formed, near, normalized, reference_of
from ledger.store import references as store
from ledger.store.references import FundingReference, NewReference
from poolkit.context import CallContext
from poolkit.database import Contended, Database
from poolkit.errors import NotFound

TRIES_MAX: Final = 5
SUGGESTIONS_MAX: Final = 10


async def ensure_references(database: Database, asked: Sequence[tuple[CallContext, str]]) -> list[FundingReference]:
    """The reference of each context's organization in a currency; made where there is none. Safe to repeat."""
    wanted = {(context.organization_id, currency): context for context, currency in asked}
    found = await store.references_of(database, sorted(wanted))
    # More than once only if a new code should be taken already: one chance in 10^15 for each that exists.
    for _ in range(TRIES_MAX):
        missing = sorted(set(wanted) - set(found))
        if not missing:
            return [found[context.organization_id, currency] for context, currency in asked]
        await store.keep_references(
            database,
            [
                NewReference(
                    reference_of(secrets.randbits(RANDOM_BITS)), *key, wanted[key].request_id, wanted[key].traceparent
                )
                for key in missing
            ],
        )
        found |= await store.references_of(database, missing)
    raise Contended


async def look_up_references(database: Database, typed: Sequence[str]) -> list[FundingReference | NotFound]:
    """Whose each code is, as a payer may have typed it; NotFound, and nothing else, means unknown."""
    codes = [normalized(code) for code in typed]
    known = await store.find_references(database, [code for code in set(codes) if is_well_formed(code)])
    return [known.get(code) or NotFound("funding reference") for code in codes]


async def suggest_references(database: Database, texts: Sequence[str]) -> list[list[FundingReference]]:
    """The known codes that each text may mean, by code; for a person to judge."""
    codes = []
    for text in texts:
        codes.append(sorted(near(text)))
        # Some milliseconds each: others get their turn.
        await asyncio.sleep(0)
    known = await store.find_references(database, sorted({code for each in codes for code in each}))
    return [[known[code] for code in each if code in known][:SUGGESTIONS_MAX] for each in codes]
