"""Reproducible: the stored bytes in their stored order give the same ledger again, to the last byte."""

import random

import pytest

from ledger.app.bury_event import bury_event
from ledger.app.compare_books import Findings, compare_books
from ledger.app.replay import Refused, replay
from ledger.store.events import StoredEvent
from ledger.store.whole_books import Cut, read_cut
from pools.types.v1 import types_pb2
from tests.integration.databases import RunningPostgres
from tests.integration.ledger.books import Books, hold_request, new_trade, open_books, snapshot
from tests.integration.ledger.events import allocation, payin, top_up, trade_event


@pytest.mark.parametrize("seed", [1, 2])
async def test_replayed_events_give_the_same_ledger_to_the_last_byte(
    books: Books, postgres: RunningPostgres, seed: int
) -> None:
    chance = random.Random(seed)
    organizations = [f"org_{number}" for number in range(6)]
    events = [top_up()]
    for organization in organizations:
        credited = payin("unallocated")
        events += [payin(organization, "2000.00"), credited, allocation(organization, credited)]
        for status in ("settled", "failed", "released", "returned", "sold", "unsold"):
            trade = new_trade()
            await books.place(hold_request(organization, trade, gated=False))
            side = types_pb2.SIDE_OFF_RAMP if "sold" in status else types_pb2.SIDE_ON_RAMP
            if status in {"returned", "sold", "unsold"}:
                events.append(trade_event(organization, trade, side=side))
            if status in {"returned", "unsold"}:
                events.append(trade_event(organization, trade, "returned", side=side))
            elif status != "sold":
                events.append(trade_event(organization, trade, status))
    # Out of order, some twice, in batches of any size, some of which end without a commit.
    chance.shuffle(events)
    events += chance.sample(events, 20)
    while events:
        size = chance.randint(1, 9)
        await books.apply(*events[:size])
        events = events[size:]
    await books.assert_adds_up()
    assert await books.count("inbox", "state <> 'applied'") == 0

    async with open_books(postgres) as rebuilt:
        refused: list[Refused] = []
        events = await replay(books.database, rebuilt.apply_events, rebuilt.decode, refuse=refused.append)
        assert (events, refused) == (await books.count("inbox"), [])
        original, again = await snapshot(books.admin), await snapshot(rebuilt.admin)
        for what, rows in original.items():
            assert rows
            assert again[what] == rows, what
        await rebuilt.assert_adds_up()
        findings = await compared(books, rebuilt)
        assert findings.ok, findings.first
        assert findings.compared["transactions"] == await books.count("transactions")
        assert findings.compared["entries"] == await books.count("entries")
        assert findings.compared["balances"] == await books.count("accounts", "entry_count > 0")
        assert findings.compared["chainHeads"] == await books.count("chain_heads", "sequence > 0")


async def compared(books: Books, rebuilt: Books, cut: Cut | None = None) -> Findings:
    findings = Findings()
    cut = cut or await read_cut(books.database)
    await compare_books(books.database, rebuilt.database, cut, findings, lambda _: None)
    return findings


TABLES = ("transactions", "entries", "accounts", "chain_heads")
LIES: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "an entry's amount": (
        "UPDATE entries SET amount = amount + 1 WHERE transaction_number = 3 AND leg = 1",
        [("entry", "entry")],
    ),
    "a balance after": (
        "UPDATE entries SET balance_after = 7 WHERE transaction_number = 3 AND balance_after IS NOT NULL",
        [("entry", "entry")],
    ),
    "a link": ("UPDATE transactions SET link = sha256('x') WHERE number = 3", [("transaction", "link")]),
    "a client reference": (
        "UPDATE transactions SET client_reference = 'another' WHERE number = 3",
        [("transaction", "client_reference")],
    ),
    "a balance": (
        "UPDATE accounts SET balance = balance + 1 WHERE name = 'partner:EUR:0:org_1'",
        [("balance", "balance")],
    ),
    "a chain head": (
        "UPDATE chain_heads SET link = sha256('x') WHERE organization_id = 'org_1'",
        [("chain_head", "link")],
    ),
    "a missing transaction": (
        "DELETE FROM transactions WHERE number = 3",
        [("transaction", "the books lack it"), *[("entry", "belongs to no transaction")] * 2],
    ),
    "an invented transaction": (
        """INSERT INTO transactions SELECT 900001, 'ledger_x', 'org_1', 99, reason, content_hash, link, business_date,
           'no event', request_id, trade_id, quote_id, client_reference, traceparent
           FROM transactions WHERE number = 3""",
        [("transaction", "no stored event made it")],
    ),
    "an invented entry": (
        "INSERT INTO entries SELECT 4, leg, account_id, 0, balance_after, 98 FROM entries WHERE transaction_number = 3",
        [*[("entry", "belongs to no transaction")] * 2],
    ),
}


async def test_whatever_a_superuser_changed_is_named_and_nothing_else(books: Books, postgres: RunningPostgres) -> None:
    await books.apply(payin("org_1", "2000.00"), payin("org_1", "300.00"), top_up(), payin("org_2"))
    async with open_books(postgres) as rebuilt:
        await replay(books.database, rebuilt.apply_events, rebuilt.decode, refuse=pytest.fail)
        # What is posted after the cut is no difference.
        cut = await read_cut(books.database)
        await books.apply(payin("org_2"), payin("org_3"))
        assert (await compared(books, rebuilt, cut)).ok
        for table in ("transactions", "entries"):
            await books.admin.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for table in TABLES:
            await books.admin.execute(f"CREATE TABLE kept_{table} AS SELECT * FROM {table}")
        for lie, (statement, expected) in LIES.items():
            await books.admin.execute(statement)
            findings = await compared(books, rebuilt, cut)
            assert [(found.kind, found.what) for found in findings.first] == expected, lie
            assert not findings.ok
            for table in TABLES:
                await books.admin.execute(f"DELETE FROM {table}")
                await books.admin.execute(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM kept_{table}")
        assert (await compared(books, rebuilt, cut)).ok


async def test_stored_bytes_that_were_changed_show_in_the_books_or_cannot_be_applied(
    books: Books, postgres: RunningPostgres
) -> None:
    good, forged, broken = payin("org_1", "2000.00"), payin("org_1", "300.00", bank_id="one"), payin("org_2")
    await books.apply(good, forged, broken)
    await books.admin.execute("ALTER TABLE inbox DISABLE TRIGGER USER")
    change = "UPDATE inbox SET payload = $2 WHERE event_id = $1"
    more = payin("org_1", "400.00", bank_id="one")
    await books.admin.execute(change, forged.event_id, more.payload)
    await books.admin.execute(change, broken.event_id, b"\xff")
    async with open_books(postgres) as rebuilt:
        refused: list[Refused] = []
        await replay(books.database, rebuilt.apply_events, rebuilt.decode, refuse=refused.append)
        assert [each.event_id for each in refused] == [broken.event_id]
        findings = await compared(books, rebuilt)
    found = {(difference.kind, difference.what) for difference in findings.first}
    assert {
        ("entry", "entry"),
        ("transaction", "content_hash"),
        ("balance", "balance"),
        ("chain_head", "link"),
    } <= found
    assert ("transaction", "no stored event made it") in found


async def test_an_event_that_was_dead_and_came_again_is_rebuilt_like_any_other(
    books: Books, postgres: RunningPostgres
) -> None:
    event, other = payin("org_1", "2000.00"), payin("org_1")
    place = (event.request_id, event.traceparent, event.partition, event.offset)
    dead = StoredEvent(event.event_id, event.topic, event.type, event.payload, *place)
    await bury_event(books.database, dead, "org_1", "a fault")
    await books.apply(other)
    await books.apply(event._replace(traceparent=event.traceparent[:-4] + "ff-01", offset=77))
    async with open_books(postgres) as rebuilt:
        assert await replay(books.database, rebuilt.apply_events, rebuilt.decode, refuse=pytest.fail) == 2
        findings = await compared(books, rebuilt)
        assert findings.ok, findings.first
