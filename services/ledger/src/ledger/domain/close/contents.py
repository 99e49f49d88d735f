"""Owns what a close says in numbers, its hash, and what one revision says that the one before did not."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from ledger.domain.accounts import UNALLOCATED
from ledger.domain.amounts import text_of
from ledger.domain.close.facts import Amount, PayinGroup, TradeGroup
from ledger.domain.close.findings import Finding
from ledger.domain.close.payins import CREDITED
from ledger.domain.close.standing import InventoryLine

_HEAD: Final = "0pools-close-1"
CHANGES_MAX: Final = 200
"""How many changes are told one by one; all are counted."""


class TrialLine(NamedTuple):
    """The accounts of one kind in one currency, summed."""

    kind: str
    amount: Amount
    entries: int


@dataclass(slots=True)
class Tally:
    """Counts and sums that grow while groups pass by."""

    trades: dict[tuple[str, str, str, str], list[int]] = field(default_factory=dict)
    """By status, side, fiat and crypto currency: how many, and the sums of fiat, fee and crypto."""
    payins: dict[str, list[int]] = field(default_factory=dict)
    """By currency: how many, their sum, and the same of those whose reference nobody knew."""
    kinds: dict[str, int] = field(default_factory=dict)
    compared: int = 0
    matched: int = 0

    def add_trade(self, group: TradeGroup, findings: Iterable[Finding]) -> None:
        """Counts a trade under each status it reached; matched is one that ended and has nothing wrong."""
        self.add(findings)
        trade = group.ended
        if trade is None:
            return
        self.compared += 1
        self.matched += not findings
        for move in trade.transitions:
            key = (move.status, trade.side, trade.fiat.currency, trade.crypto.currency)
            sums = self.trades.setdefault(key, [0, 0, 0, 0])
            sums[0] += 1
            sums[1] += trade.fiat.units
            sums[2] += trade.fee.units
            sums[3] += trade.crypto.units

    def add_payin(self, group: PayinGroup, findings: Iterable[Finding]) -> None:
        """Counts a pay-in that took effect."""
        self.add(findings)
        credited = next((fact for fact in group.facts if fact.processing.effect == CREDITED), None)
        if credited is None:
            return
        sums = self.payins.setdefault(credited.amount.currency, [0, 0, 0, 0])
        sums[0] += 1
        sums[1] += credited.amount.units
        if credited.organization_id == UNALLOCATED:
            sums[2] += 1
            sums[3] += credited.amount.units

    def add(self, findings: Iterable[Finding]) -> None:
        """Counts findings by kind."""
        for finding in findings:
            self.kinds[finding.kind] = self.kinds.get(finding.kind, 0) + 1


class Contents(NamedTuple):
    """All a close says but its exceptions one by one: plain values, as they are stored."""

    trial_balance: list[list[Any]]
    """Kind, minor units, currency, entries."""
    trades: list[list[Any]]
    """Status, side, fiat and crypto currency, count, fiat, fee, crypto."""
    payins: list[list[Any]]
    """Currency, count, sum, unallocated count and sum."""
    inventory: list[list[Any]]
    """Pool, currency, the ledger's and quote's minor units; null where one knows none."""
    kinds: dict[str, int]
    matched: int

    @property
    def balanced(self) -> bool:
        """Whether every currency sums to zero."""
        sums: dict[str, int] = {}
        for _, units, currency, _ in self.trial_balance:
            sums[currency] = sums.get(currency, 0) + units
        return not any(sums.values())

    def digest(self, business_date: date, *, mode: str, provisional: bool, findings: bytes) -> bytes:
        """SHA-256 of all a close says: equal hashes, equal contents. `findings` is the hash of the exceptions."""
        said = [_HEAD, business_date.isoformat(), mode, provisional, self._asdict(), findings.hex()]
        return sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).digest()


def contents_of(tally: Tally, trial_balance: Iterable[TrialLine], inventory: Iterable[InventoryLine]) -> Contents:
    """The numbers in their stored form and order."""
    return Contents(
        sorted([line.kind, line.amount.units, line.amount.currency, line.entries] for line in trial_balance),
        sorted([*key, *sums] for key, sums in tally.trades.items()),
        sorted([currency, *sums] for currency, sums in tally.payins.items()),
        sorted([line.pool_id, line.currency, _units(line.ledger), _units(line.quote)] for line in inventory),
        dict(sorted(tally.kinds.items())),
        tally.matched,
    )


def changed_numbers(before: Contents, now: Contents) -> Iterator[str]:
    """One sentence for each count or sum that is other than in the revision before."""
    if before.matched != now.matched:
        yield f"Matched trades: {before.matched} before, {now.matched} now."
    for what, told in _TOLD.items():
        old, new = told(before), told(now)
        for key in sorted({*old, *new}):
            if old.get(key) != new.get(key):
                yield f"{what} of {key}: {old.get(key, 'nothing')} before, {new.get(key, 'nothing')} now."


def _told_trial_balance(contents: Contents) -> dict[str, str]:
    return {
        f"{kind} in {currency}": f"{text_of(units, currency)} in {entries} entries"
        for kind, units, currency, entries in contents.trial_balance
    }


def _told_trades(contents: Contents) -> dict[str, str]:
    return {
        f"{status} {side} trades in {fiat} and {crypto}": f"{count} with {text_of(fiat_units, fiat)} {fiat}, fees of "
        f"{text_of(fee_units, fiat)} {fiat}, {text_of(crypto_units, crypto)} {crypto}"
        for status, side, fiat, crypto, count, fiat_units, fee_units, crypto_units in contents.trades
    }


def _told_payins(contents: Contents) -> dict[str, str]:
    return {
        currency: f"{count} of {text_of(units, currency)}, {unallocated} of {text_of(rest, currency)} unallocated"
        for currency, count, units, unallocated, rest in contents.payins
    }


def _told_inventory(contents: Contents) -> dict[str, str]:
    return {
        f"{pool_id} in {currency}": f"{_text(ledger, currency)} in the ledger, {_text(quote, currency)} at quote"
        for pool_id, currency, ledger, quote in contents.inventory
    }


_TOLD: Final[Mapping[str, Callable[[Contents], dict[str, str]]]] = MappingProxyType(
    {
        "Trial balance": _told_trial_balance,
        "Sums": _told_trades,
        "Pay-ins": _told_payins,
        "Inventory": _told_inventory,
    }
)


def _text(units: int | None, currency: str) -> str:
    return "nothing" if units is None else text_of(units, currency)


def _units(amount: Amount | None) -> int | None:
    return amount.units if amount else None
