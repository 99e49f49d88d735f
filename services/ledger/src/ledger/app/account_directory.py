"""Owns knowing the ids of accounts and which chains exist, so that a batch asks the database only for new ones."""

from collections.abc import Iterable

from ledger.domain.accounts import Account
from ledger.store.accounts import make_accounts, make_heads
from poolkit.database import Database


class AccountDirectory:
    """Account ids by name. Accounts and chains are never deleted, so what is known here stays true."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.ids: dict[str, int] = {}
        self._chains: set[str] = set()

    async def ensure_accounts(self, accounts: Iterable[Account]) -> None:
        """Makes `ids` know these accounts; those that don't exist are made, at zero, in a transaction of their own."""
        unknown = {account.name: account for account in accounts if account.name not in self.ids}
        if unknown:
            self.ids.update(await make_accounts(self._database, unknown.values()))

    async def ensure_chains(self, organization_ids: Iterable[str]) -> None:
        """Begins the chains of organizations that have none."""
        unknown = set(organization_ids) - self._chains
        if unknown:
            await make_heads(self._database, unknown)
            self._chains |= unknown
