"""Owns the chart of accounts: which kinds there are, how each is named, and into which part of it a posting goes."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final
from zlib import crc32

PARTNER: Final = "partner"
BANK: Final = "bank"
FEES: Final = "fees"
SPREAD: Final = "spread"
CONVERSION: Final = "conversion"
INVENTORY: Final = "inventory"
TREASURY: Final = "treasury"
SUSPENSE: Final = "suspense"
CLEARING: Final = "clearing"

KINDS: Final = (PARTNER, BANK, FEES, SPREAD, CONVERSION, INVENTORY, TREASURY, SUSPENSE, CLEARING)
"""In the order in which a trial balance lists them."""

UNALLOCATED: Final = "unallocated"
"""The reserved organization whose chain holds pay-ins that nobody has claimed yet."""

TREASURER: Final = "treasury"
"""The reserved organization whose chain holds treasury movements."""

SUB_ACCOUNTS: Final = 16
"""System accounts are split, so that no row is locked by everyone; reads sum the parts."""


@dataclass(frozen=True, slots=True)
class Account:
    """The natural key of an account. Partner accounts have an organization, system accounts a part of sixteen.

    Get one from `partner_account` or `system_account`: they hand out the same object again, with its name made once.
    """

    kind: str
    organization_id: str
    """Empty for system accounts."""
    pool_id: str
    """Only inventory is kept per pool; empty elsewhere."""
    currency: str
    sub_account: int
    """0 to 15 for system accounts, 0 for partners."""
    name: str = field(init=False, compare=False)
    """As it is written into hashes: `fees:EUR:7`, `inventory:USDT:7:EUR-USDT`, `partner:EUR:0:org_…`. Unique."""

    def __post_init__(self) -> None:
        owner = self.organization_id or self.pool_id
        name = f"{self.kind}:{self.currency}:{self.sub_account}"
        object.__setattr__(self, "name", f"{name}:{owner}" if owner else name)


@lru_cache(maxsize=65_536)
def sub_account_of(organization_id: str) -> int:
    """Which part of a system account an organization's postings go to: CRC-32 of its id, modulo 16."""
    return crc32(organization_id.encode()) % SUB_ACCOUNTS


@lru_cache(maxsize=65_536)
def partner_account(organization_id: str, currency: str) -> Account:
    """What a partner has with us in one currency."""
    return Account(PARTNER, organization_id, "", currency, 0)


@lru_cache(maxsize=65_536)
def system_account(kind: str, currency: str, sub_account: int, pool_id: str = "") -> Account:
    """The part of one of our own accounts."""
    return Account(kind, "", pool_id, currency, sub_account)
