"""Owns what a verification of the ledger says: which row is not as it must be, and in what."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from ledger.domain.chain import Facts
from ledger.domain.drafts import Draft
from ledger.domain.identities import entry_id

TRANSACTIONS: Final = "transactions"
ENTRIES: Final = "entries"


class Finding(NamedTuple):
    """A row that is not as it must be."""

    table: str
    row_id: str
    """As people know it: `le_…`, `ledger_…`, an account's name, an organization."""
    what: str
    """A stable word: `amount`, `link`, `signed_head`, …."""
    expected: str
    """Empty for nothing."""
    found: str
    """Empty for nothing."""


class WrittenLeg(NamedTuple):
    """A leg as the database has it."""

    number: int
    account: str
    """The account's name; empty where there is no such account."""
    amount: str


class WrittenTransaction(NamedTuple):
    """A transaction as the database has it."""

    organization_id: str
    reason: str
    facts: Facts
    legs: Sequence[WrittenLeg]


def differences(draft: Draft, written: WrittenTransaction) -> list[Finding]:
    """In which rows a transaction is not what its event makes of it, entries first."""
    posting, facts, amounts, _ = draft
    id_ = facts.transaction_id
    expected = {
        number: (account.name, amount)
        for number, ((account, units), amount) in enumerate(zip(posting.legs, amounts, strict=True), 1)
        if units
    }
    found = {leg.number: (leg.account, leg.amount) for leg in written.legs}
    findings = []
    for number in sorted(expected.keys() | found.keys()):
        wanted, there = expected.get(number), found.get(number)
        entry = entry_id(id_, number)
        if there is None and wanted is not None:
            findings.append(Finding(ENTRIES, entry, "entry_missing", f"{wanted[1]} on {wanted[0]}", ""))
        elif wanted is None and there is not None:
            findings.append(Finding(ENTRIES, entry, "entry_unexpected", "", f"{there[1]} on {there[0]}"))
        elif wanted is not None and there is not None:
            if wanted[0] != there[0]:
                findings.append(Finding(ENTRIES, entry, "account", wanted[0], there[0]))
            if wanted[1] != there[1]:
                findings.append(Finding(ENTRIES, entry, "amount", wanted[1], there[1]))
    said = {"organization_id": posting.organization_id, "reason": posting.reason, **facts._asdict()}
    says = {"organization_id": written.organization_id, "reason": written.reason, **written.facts._asdict()}
    findings += [Finding(TRANSACTIONS, id_, name, said[name], says[name]) for name in said if said[name] != says[name]]
    return findings
