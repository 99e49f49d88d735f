"""Owns what colleagues may read: balances, pages of entries, and the trial balance."""

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from ledger.domain.accounts import KINDS, partner_account
from ledger.store import books
from ledger.store.books import NOTHING, Balance, EntryRow, TrialBalanceRow
from poolkit import page_tokens
from poolkit.database import Database
from poolkit.errors import InvalidRequest

_SEQUENCE_MAX: Final = 2**63 - 1
_PLACE: Final = re.compile(r"[1-9][0-9]{0,18}").fullmatch


class EntriesPage(NamedTuple):
    """The balance and some entries of one moment, newest first."""

    balance: Balance
    entries: list[EntryRow]
    next_token: str
    """Where the next page begins; empty on the last one."""


class TrialBalance(NamedTuple):
    """The books in one table."""

    lines: list[TrialBalanceRow]
    balanced: bool
    """Whether every currency sums to zero."""
    open_holds: int


async def get_balances(database: Database, asked: Sequence[tuple[str, str]]) -> list[Balance]:
    """The balance of each organization and currency; zero where nothing was posted yet."""
    names = [partner_account(organization_id, currency).name for organization_id, currency in asked]
    known = await books.read_balances(database, names)
    return [known.get(name, NOTHING) for name in names]


async def list_entries(
    database: Database, organization_id: str, currency: str, *, size: int, token: str
) -> EntriesPage:
    """A page of a partner's entries, newest first by its chain's sequence. A foreign token raises InvalidRequest."""
    of_list = ("entries", organization_id, currency)
    before = _sequence_in(page_tokens.read(token, *of_list)) if token else _SEQUENCE_MAX
    name = partner_account(organization_id, currency).name
    balance, entries = await books.read_entries(database, name, before_sequence=before, limit=size + 1)
    more = len(entries) > size
    entries = entries[:size]
    return EntriesPage(balance, entries, page_tokens.make(str(entries[-1].sequence), *of_list) if more else "")


async def get_trial_balance(database: Database) -> TrialBalance:
    """Every kind and currency in the order of the chart of accounts, and whether all is in balance."""
    lines = await books.read_trial_balance(database)
    lines.sort(key=lambda line: (line.currency, KINDS.index(line.kind)))
    sums: dict[str, Decimal] = {}
    for line in lines:
        sums[line.currency] = sums.get(line.currency, Decimal(0)) + line.amount
    return TrialBalance(lines, not any(sums.values()), sum(line.open_holds for line in lines))


def _sequence_in(place: str) -> int:
    if not _PLACE(place) or int(place) > _SEQUENCE_MAX:
        raise InvalidRequest("it is not a token of this list.", field="page_token")
    return int(place)
