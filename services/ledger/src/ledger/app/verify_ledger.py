"""Owns verifying the whole ledger, as of one moment and in keyset order: what is wrong, and how much was looked at."""

from collections.abc import AsyncGenerator
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

from ledger.app.apply_events import Decode
from ledger.app.verify_chains import Checked, Trust, verify_heads, verify_statements
from ledger.domain.accounts import PARTNER
from ledger.domain.chain import Facts
from ledger.domain.drafts import drafts_of
from ledger.domain.findings import (
    ENTRIES,
    TRANSACTIONS,
    Finding,
    WrittenLeg,
    WrittenTransaction,
    differences,
)
from ledger.domain.identities import entry_id, hold_id
from ledger.domain.postings import postings_of
from ledger.store import audit
from ledger.store.audit import Sum
from ledger.store.events import StoredEvent
from poolkit.database import Database, Unit
from poolkit.errors import DomainError

_NUMBER_MAX: Final = 2**63 - 1


class Progress(NamedTuple):
    """How far a verification is."""

    phase: str
    row_count: int
    row_count_total: int
    """0 where it is not known beforehand."""


class Summary(NamedTuple):
    """What was looked at."""

    transactions: int
    entries: int
    accounts: int
    holds: int
    chains: int
    statements: int
    trusted_key_ids: list[str]
    last_signed_at: datetime | None


Step = Progress | Finding | Summary


class VerifyLedger:
    """Verifies a ledger of one mode; signatures count where `trust` says so.

    Only a fixed number of rows is in memory at a time, beside one sum for each of our own accounts and for each account
    with open holds. A transaction that does not match its hashes is compared with what its event's bytes make of it, so
    that the very entry is named.
    """

    def __init__(self, database: Database, trust: Trust, decode: Decode, *, mode: str) -> None:
        self._database = database
        self._trust = trust
        self._decode = decode
        self._mode = mode

    async def __call__(self) -> AsyncGenerator[Step]:
        """The findings as they are found, progress between them, and the summary last."""
        async with self._database.transaction() as unit:
            run = _Run(unit, self._decode)
            async for step in run.transactions(await audit.take_snapshot(unit)):
                yield step
            async for step in run.holds():
                yield step
            async for step in run.accounts():
                yield step
            chains, statements = Checked(), Checked()
            async for finding in verify_heads(unit, chains):
                yield finding
            yield Progress("chains", chains.rows, chains.rows)
            async for finding in verify_statements(unit, self._trust, statements, mode=self._mode):
                yield finding
            yield Progress("signatures", statements.rows, statements.rows)
            yield Summary(
                run.transaction_count,
                run.entry_count,
                run.account_count,
                run.hold_count,
                chains.rows,
                statements.rows,
                self._trust.key_ids,
                statements.last_signed_at,
            )


class _Run:
    """One verification under way."""

    def __init__(self, unit: Unit, decode: Decode) -> None:
        self._unit = unit
        self._decode = decode
        self._own_sums: dict[int, Sum] = {}
        self._open_holds: dict[int, Sum] = {}
        self.transaction_count = self.entry_count = self.account_count = self.hold_count = 0

    async def transactions(self, entry_total: int) -> AsyncGenerator[Progress | Finding]:
        """Sums, hashes, links, and each entry beside the one before it on its account."""
        after = -1
        while True:
            rows = await audit.check_transactions(self._unit, after_number=after)
            last = rows[0]["last"]
            for row in rows:
                if row["id"] is not None:
                    for finding in await self._transaction_findings(row):
                        yield finding
            # After the last transaction there may still be entries, of none.
            to = _NUMBER_MAX if last is None else last
            for row in await audit.check_legs(self._unit, after_number=after, to_number=to):
                for finding in _leg_findings(row):
                    yield finding
            sums = await audit.sum_of_own_accounts(self._unit, after_number=after, to_number=to)
            _add(self._own_sums, sums)
            self.transaction_count += rows[0]["transactions"]
            self.entry_count += rows[0]["entries"]
            yield Progress("transactions", self.entry_count, max(entry_total, self.entry_count))
            if last is None:
                return
            after = last

    async def holds(self) -> AsyncGenerator[Progress | Finding]:
        """No open hold on a trade that has ended, and none consumed but for what its settled trade was posted for."""
        after = ""
        while True:
            rows = await audit.check_holds(self._unit, after_trade_id=after)
            for row in rows:
                if row["trade_id"] is not None:
                    yield _hold_finding(row)
                elif row["account_id"] is not None:
                    _add(self._open_holds, {row["account_id"]: Sum(row["amount"], row["open_holds"])})
            self.hold_count += rows[0]["holds"]
            if rows[0]["last"] is None:
                return
            yield Progress("holds", self.hold_count, 0)
            after = rows[0]["last"]

    async def accounts(self) -> AsyncGenerator[Progress | Finding]:
        """Balances and held sums are those of the entries and the open holds."""
        after = 0
        while rows := await audit.read_accounts(self._unit, after_id=after):
            after = rows[-1]["id"]
            self.account_count += len(rows)
            for row in rows:
                for finding in self._account_findings(row):
                    yield finding
            yield Progress("accounts", self.account_count, 0)
        for account_id in self._own_sums.keys() | self._open_holds.keys():
            yield Finding("accounts", str(account_id), "account_missing", "an account", "")

    def _account_findings(self, row: Any) -> list[Finding]:
        own = self._own_sums.pop(row["id"], _NOTHING)
        posted = Sum(row["last_balance"], row["entries"]) if row["kind"] == PARTNER else own
        held = self._open_holds.pop(row["id"], _NOTHING)
        compared = (
            ("name", row["name_expected"], row["name"]),
            ("balance", posted.amount, row["balance"]),
            ("entry_count", posted.rows, row["entry_count"]),
            ("held", held.amount, row["held"]),
            ("open_holds", held.rows, row["open_holds"]),
        )
        return [
            Finding("accounts", row["name"], what, str(expected), str(found))
            for what, expected, found in compared
            if expected != found
        ]

    async def _transaction_findings(self, row: Any) -> list[Finding]:
        id_ = row["id"]
        findings = []
        if row["content_hash"] != row["content_expected"] or row["sums"] is not None or not row["legs"]:
            findings = await self._by_event(row["number"])
            if row["sums"] is not None:
                findings.append(Finding(TRANSACTIONS, id_, "unbalanced", "zero in each currency", row["sums"]))
        if row["content_hash"] != row["content_expected"] and not findings:
            expected, found = row["content_expected"].hex(), row["content_hash"].hex()
            findings.append(Finding(TRANSACTIONS, id_, "content_hash", expected, found))
        if row["foreign_event"]:
            found = "" if row["event_number"] is None else f"event number {row['event_number']}"
            expected = f"event {row['event_id']} applied as number {row['number']} or the one before"
            findings.append(Finding("inbox", row["event_id"], "event", expected, found))
        if row["gap"]:
            before = f"{row['organization_id']} {row['sequence'] - 1}"
            findings.append(Finding(TRANSACTIONS, before, "transaction_missing", f"the one before {id_}", ""))
        elif row["link"] != row["link_expected"] and not findings:
            findings.append(Finding(TRANSACTIONS, id_, "link", row["link_expected"].hex(), row["link"].hex()))
        return findings

    async def _by_event(self, number: int) -> list[Finding]:
        """In what a transaction is not what its event's bytes make of it; empty where these say nothing else."""
        row, legs = await audit.read_transaction(self._unit, number)
        if row is None or row["payload"] is None:
            return []
        written = _written(row, legs)
        stored = StoredEvent(
            row["event_id"],
            row["topic"],
            row["type"],
            row["payload"],
            row["event_request_id"],
            row["event_traceparent"],
            row["partition"],
            row["offset"],
        )
        try:
            event = self._decode(stored)
            drafts = {draft.facts.transaction_id: draft for draft in drafts_of(event, postings_of(event))}
        except DomainError:
            return []
        draft = drafts.get(written.facts.transaction_id)
        return differences(draft, written) if draft else []


_NOTHING: Final = Sum(Decimal(0), 0)


def _add(sums: dict[int, Sum], further: dict[int, Sum]) -> None:
    for account_id, one in further.items():
        other = sums.get(account_id, _NOTHING)
        sums[account_id] = Sum(other.amount + one.amount, other.rows + one.rows)


def _written(row: Any, legs: Any) -> WrittenTransaction:
    facts = Facts(
        row["id"],
        row["business_date"].isoformat(),
        row["event_id"],
        row["trade_id"],
        row["quote_id"],
        row["request_id"],
        row["client_reference"],
    )
    return WrittenTransaction(row["organization_id"], row["reason"], facts, [WrittenLeg(*leg) for leg in legs])


def _leg_findings(row: Any) -> list[Finding]:
    if row["id"] is None:
        found = f"{row['amount']} on {row['name'] or 'no account'}"
        return [Finding(ENTRIES, f"{row['transaction_number']}.{row['leg']}", "transaction_missing", "", found)]
    entry = entry_id(row["id"], row["leg"])
    if row["name"] is None:
        return [Finding(ENTRIES, entry, "account_missing", "an account", "")]
    compared: dict[str, tuple[Any, Any]] = {}
    if row["kind"] == PARTNER:
        compared = {
            "organization": (row["organization_id"], row["account_organization_id"]),
            "sequence": (row["transaction_sequence"], row["sequence"]),
            "balance_after": (row["balance_expected"], row["balance_after"]),
        }
    elif row["balance_after"] is not None:
        compared = {"balance_after": ("", row["balance_after"])}
    return [
        Finding(ENTRIES, entry, what, str(wanted), "" if found is None else str(found))
        for what, (wanted, found) in compared.items()
        if wanted != found
    ]


def _hold_finding(row: Any) -> Finding:
    hold, statuses = hold_id(row["trade_id"]), row["statuses"] or ""
    if row["account_organization_id"] != row["organization_id"]:
        found = row["account_organization_id"] or ""
        return Finding("holds", hold, "organization", row["organization_id"], found)
    if row["state"] == "open":
        return Finding("holds", hold, "open_on_ended_trade", f"ended: the trade {statuses}", "open")
    if row["paid"] is not None and row["paid"] != row["amount"]:
        return Finding("holds", hold, "amount", str(row["paid"]), str(row["amount"]))
    return Finding("holds", hold, "consumed_unsettled", "consumed by a settled trade", statuses or "no such event")
