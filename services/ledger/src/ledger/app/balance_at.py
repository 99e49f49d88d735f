"""Owns balances as of a moment: after an entry, or at an instant by when transactions were booked."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from ledger.domain.accounts import INVENTORY, KINDS, PARTNER, partner_account
from ledger.domain.identities import entry_id, transaction_of_entry
from ledger.store import moments
from ledger.store.moments import LastEntry, PlacedEntry
from poolkit.database import Database
from poolkit.errors import InvalidRequest, NotFound

OWN_KINDS: Final = tuple(kind for kind in KINDS if kind != PARTNER)
_NUMBER_MAX: Final = 2**63 - 1
# A number is drawn in the transaction that books it, and none may last longer than the statement and idle timeouts.
_BOOKING_MAX: Final = timedelta(seconds=60)

Moment = str | datetime
"""An entry's id or an instant."""


class BalanceAt(NamedTuple):
    """What an account had at a moment."""

    balance: Decimal
    entry_id: str = ""
    """The last entry that counts; empty where there is none, and for our own accounts."""
    sequence: int = 0
    created_at: datetime | None = None


async def partner_balance_at(database: Database, organization_id: str, currency: str, moment: Moment) -> BalanceAt:
    """What an organization had. Zero before its first entry; NotFound for an entry that is not on the account."""
    name = partner_account(organization_id, currency).name
    if isinstance(moment, datetime):
        sequence = await moments.place_at(database, organization_id, moment)
    else:
        entry = await _entry(database, moment)
        if entry.account_name != name or entry.sequence is None:
            raise NotFound("entry")
        sequence = entry.sequence
    last = await moments.last_entry(database, name, up_to_sequence=sequence)
    return _balance(last) if last else BalanceAt(Decimal(0))


async def own_balance_at(database: Database, kind: str, currency: str, pool_id: str, moment: Moment) -> BalanceAt:
    """What one of our own accounts had, all its parts summed; after an entry's transaction in the stored order.

    Entries of our own accounts are many and not indexed by account: what was posted since is taken from what there is
    now, page by page, so it takes the longer the farther back it is. Memory is flat.
    """
    if kind not in OWN_KINDS:
        raise InvalidRequest(f"it is not one of {', '.join(OWN_KINDS)}.", field="account_kind")
    if pool_id and kind != INVENTORY:
        raise InvalidRequest("only inventory is kept per pool; leave it out.", field="pool_id")
    number, instant = 0, None
    if isinstance(moment, datetime):
        instant = moment
    else:
        number = (await _entry(database, moment)).number
    async with database.transaction() as unit:
        await moments.take_snapshot(unit)
        account_ids, balance = await moments.own_accounts(unit, kind, currency, pool_id)
        if not account_ids:
            raise NotFound("account")
        before: int | None = _NUMBER_MAX
        while before is not None and before > number:
            before, newest, moved = await moments.moved_since(
                unit, account_ids, before_number=before, number=number, instant=instant
            )
            balance -= moved
            if instant and newest and instant - newest > _BOOKING_MAX:
                break
    return BalanceAt(balance)


async def _entry(database: Database, id_: str) -> PlacedEntry:
    found = transaction_of_entry(id_)
    entry = await moments.find_entry(database, *found) if found else None
    if entry is None:
        raise NotFound("entry")
    return entry


def _balance(last: LastEntry) -> BalanceAt:
    return BalanceAt(last.balance, entry_id(last.transaction_id, last.leg), last.sequence, last.created_at)
