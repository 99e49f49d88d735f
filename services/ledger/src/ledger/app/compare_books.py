"""Owns comparing the books with those rebuilt from the stored events: every transaction, entry, balance and head."""

from bisect import insort
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from ledger.app.merge import merged
from ledger.domain.identities import entry_id
from ledger.store import whole_books
from ledger.store.whole_books import Cut
from poolkit.database import Database, Record

SHOWN_MAX: Final = 20

# Not its trace context: an event that was dead and came again was booked under that of its second coming.
_FIELDS: Final = (
    "organization_id", "sequence", "reason", "event_id", "part", "business_date", "request_id", "trade_id", "quote_id",
    "client_reference", "content_hash", "link",
)  # fmt: skip

Told = Callable[[int], None]


class Difference(NamedTuple):
    """One thing that is not as the events say. `live` or `rebuilt` is empty where that side lacks it."""

    order: int
    """Where in the stored order, so that what differs first is shown first."""
    kind: str
    """`event`, `transaction`, `entry`, `balance` or `chain_head`."""
    id: str
    what: str
    live: str
    rebuilt: str


class Findings:
    """What was compared and what differs: all of it counted, the first in the stored order named."""

    def __init__(self) -> None:
        self.compared: Counter[str] = Counter()
        self.differing: Counter[str] = Counter()
        self.first: list[Difference] = []

    @property
    def ok(self) -> bool:
        """Whether nothing differs."""
        return not self.differing.total()

    def add(self, difference: Difference) -> None:
        """Counts it, and keeps it while it is among the first."""
        self.differing[difference.kind] += 1
        insort(self.first, difference)
        del self.first[SHOWN_MAX:]


async def compare_books(live: Database, rebuilt: Database, cut: Cut, findings: Findings, told: Told) -> None:
    """Walks both in key order, a page at a time. The rebuilt books hold nothing beyond the cut."""
    whole = await whole_books.read_cut(rebuilt)
    await _compare_transactions(live, rebuilt, cut, whole, findings, told)
    await _compare_balances(live, rebuilt, cut, whole, findings)
    await _compare_heads(live, rebuilt, cut, whole, findings)


async def _compare_transactions(
    live: Database, rebuilt: Database, cut: Cut, whole: Cut, findings: Findings, told: Told
) -> None:
    compared, entries = 0, 0
    pairs = merged(
        whole_books.transactions(live, cut), whole_books.transactions(rebuilt, whole), _key("id"), _key("id")
    )
    async for transaction_id, ours, again in pairs:
        compared += 1
        if compared % whole_books.PAGE_ROWS == 0:
            told(compared)
        entries += len(ours["legs"] or ()) if ours else 0
        if ours is None or again is None:
            findings.add(_lacking("transaction", transaction_id, ours, again))
        else:
            _compare_transaction(transaction_id, ours, again, findings)
    findings.compared["transactions"] = compared
    findings.compared["entries"] = entries
    told(compared)
    if await whole_books.count_entries(live, cut) != entries:
        for row in await whole_books.orphans(live, SHOWN_MAX):
            place = f"{row['transaction_number']}/{row['leg']}"
            legs = f"{row['name']} {row['amount']}"
            findings.add(Difference(row["transaction_number"], "entry", place, "belongs to no transaction", legs, ""))


def _compare_transaction(transaction_id: str, ours: Record, again: Record, findings: Findings) -> None:
    for field in _FIELDS:
        if ours[field] != again[field]:
            live, rebuilt = _text(ours[field]), _text(again[field])
            findings.add(Difference(ours["number"], "transaction", transaction_id, field, live, rebuilt))
    our_legs, legs_again = _by_number(ours["legs"]), _by_number(again["legs"])
    for leg in sorted(our_legs.keys() | legs_again.keys()):
        live, rebuilt = our_legs.get(leg, ""), legs_again.get(leg, "")
        if live != rebuilt:
            entry = entry_id(transaction_id, leg)
            findings.add(Difference(ours["number"], "entry", entry, "entry", live, rebuilt))


async def _compare_balances(live: Database, rebuilt: Database, cut: Cut, whole: Cut, findings: Findings) -> None:
    pairs = merged(whole_books.balances(live, cut), whole_books.balances(rebuilt, whole), _key("name"), _key("name"))
    async for name, ours, again in pairs:
        was = (ours["balance"], ours["entries"]) if ours else (0, 0)
        is_again = (again["balance"], again["entries"]) if again else (0, 0)
        findings.compared["balances"] += was != (0, 0) or is_again != (0, 0)
        for what, left, right in zip(("balance", "entry_count"), was, is_again, strict=True):
            if left != right:
                findings.add(Difference(cut.number_max + 1, "balance", name, what, str(left), str(right)))


async def _compare_heads(live: Database, rebuilt: Database, cut: Cut, whole: Cut, findings: Findings) -> None:
    name = _key("organization_id")
    pairs = merged(whole_books.heads(live, cut), whole_books.heads(rebuilt, whole), name, name)
    async for organization_id, ours, again in pairs:
        was = (ours["sequence"], ours["link"]) if ours and ours["sequence"] else (0, b"")
        is_again = (again["sequence"], again["link"]) if again and again["sequence"] else (0, b"")
        findings.compared["chainHeads"] += was[0] > 0 or is_again[0] > 0
        for what, left, right in zip(("sequence", "link"), was, is_again, strict=True):
            if left != right:
                difference = Difference(
                    cut.number_max + 1, "chain_head", organization_id, what, _text(left), _text(right)
                )
                findings.add(difference)


def _lacking(kind: str, id_: str, ours: Record | None, again: Record | None) -> Difference:
    row = ours or again
    assert row is not None
    what = "no stored event made it" if again is None else "the books lack it"
    shown = f"{row['organization_id']} {row['sequence']} {row['reason']} of event {row['event_id']}"
    # The rebuilt books count anew, so the order of what only they have is unknown: it comes first.
    return Difference(ours["number"] if ours else 0, kind, id_, what, shown if ours else "", shown if again else "")


def _key(field: str) -> Callable[[Record], str]:
    def key(row: Record) -> str:
        found: str = row[field]
        return found

    return key


def _by_number(legs: list[str] | None) -> dict[str, str]:
    return {leg.partition(" ")[0]: leg.partition(" ")[2].rstrip() for leg in legs or ()}


def _text(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else "" if value is None else str(value)
