"""Owns taking holds: one statement where balances cover all that is asked, one by one where they do not."""

from collections.abc import Sequence
from typing import Final

from ledger.app.account_directory import AccountDirectory
from ledger.domain.accounts import partner_account
from ledger.domain.amounts import minor_units
from ledger.domain.holds import Answer, HoldRequest, StoredHold, decide, stored_answer
from ledger.domain.identities import hold_id
from ledger.store.holds import find_holds, keep_holds, lock_available, take_holds
from poolkit.database import Contended, Database

TRIES_MAX: Final = 5


class PlaceHolds:
    """Takes holds in batches. The first answer to a trade id is stored and repeated; each item fails alone.

    Two items of one trade id are one question: the second hears the first one's answer. Raises Unavailable.
    Source: architecture section 4.
    """

    def __init__(self, database: Database, directory: AccountDirectory) -> None:
        self._database = database
        self._directory = directory

    async def __call__(self, requests: Sequence[HoldRequest]) -> list[Answer]:
        """The answers in the order of the requests: a hold's id, InsufficientBalance or AttemptUndone."""
        first: dict[str, HoldRequest] = {}
        for request in requests:
            first.setdefault(request.trade_id, request)
        asked = list(first.values())
        if not asked:
            return []
        await self._directory.ensure_accounts(
            [partner_account(request.organization_id, request.currency) for request in asked]
        )
        taken = await take_holds(self._database, asked, self._account_ids(asked))
        rest = [request for request in asked if request.trade_id not in taken]
        stored = await self._one_by_one(rest) if rest else {}
        return [
            stored_answer(request.trade_id, request.organization_id, stored[request.trade_id])
            if request.trade_id in stored
            else hold_id(request.trade_id)
            for request in requests
        ]

    async def _one_by_one(self, requests: list[HoldRequest]) -> dict[str, StoredHold]:
        for _ in range(TRIES_MAX):
            stored = await self._decide(requests)
            if stored is not None:
                return stored
        raise Contended

    async def _decide(self, requests: list[HoldRequest]) -> dict[str, StoredHold] | None:
        """What is stored of each trade id afterwards; None when a tombstone came between, and nothing was done."""
        account_ids = self._account_ids(requests)
        async with self._database.transaction() as unit:
            texts = await lock_available(unit, account_ids)
            stored = await find_holds(unit, [request.trade_id for request in requests])
            available = {
                (request.organization_id, request.currency): minor_units(texts[account_id], request.currency)
                for request, account_id in zip(requests, account_ids, strict=True)
            }
            states = decide(requests, stored, available)
            new = [request for request in requests if request.trade_id in states]
            if new:
                kept = await keep_holds(unit, new, self._account_ids(new), states)
                if len(kept) < len(new):
                    return None
                await unit.commit()
        return stored | {
            request.trade_id: StoredHold(request.organization_id, states[request.trade_id]) for request in new
        }

    def _account_ids(self, requests: Sequence[HoldRequest]) -> list[int]:
        ids = self._directory.ids
        return [ids[partner_account(request.organization_id, request.currency).name] for request in requests]
