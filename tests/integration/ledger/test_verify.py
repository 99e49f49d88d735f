"""Whatever a superuser does to the books is found and named: the guards stop everyone else, the hashes tell of him."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import NamedTuple

import pytest

from ledger.app.verify_ledger import Progress, Summary, VerifyLedger
from ledger.domain.findings import Finding
from ledger.outbound.signing_key import SigningKey, TrustedKeys
from tests.integration.databases import RunningPostgres
from tests.integration.ledger.books import Books, new_trade, open_books
from tests.integration.ledger.events import allocation, payin, top_up, trade_event
from tests.integration.ledger.signing import new_key, sign
from tests.integration.ledger.tampering import CASES, SETTLED, Case, chain_anew, save, tampered, unguarded


class Verified(NamedTuple):
    """What a verification said."""

    findings: list[Finding]
    summary: Summary
    phases: list[str]


async def verify(books: Books, *trusted: SigningKey) -> Verified:
    """Verifies the whole ledger, trusting these keys."""
    trust = TrustedKeys(key.public_key for key in trusted)
    findings, phases, summary = [], [], None
    async with aclosing(VerifyLedger(books.database, trust, books.decode, mode="test")()) as steps:
        async for step in steps:
            if isinstance(step, Finding):
                findings.append(step)
            elif isinstance(step, Progress):
                phases.append(step.phase)
            else:
                summary = step
    assert summary is not None
    return Verified(findings, summary, phases)


async def post(books: Books) -> list[str]:
    """Books with every kind of event; answers the trades: settled, returned, sold, failed, and one still reserved."""
    trades = [new_trade() for _ in range(5)]
    for trade in (trades[0], trades[1], trades[3], trades[4]):
        await books.hold("org_1", trade, gated=False)
    unclaimed = payin("unallocated", "50.00")
    await books.apply(
        top_up(), payin("org_1"), payin("org_2", "7.00"), unclaimed, allocation("org_2", unclaimed, "50.00")
    )
    await books.apply(trade_event("org_1", trades[0]), trade_event("org_1", trades[1]))
    await books.apply(
        trade_event("org_1", trades[1], "returned"),
        trade_event("org_1", trades[2], side=2),
        trade_event("org_1", trades[3], "failed"),
    )
    return trades


Posted = tuple[Books, SigningKey, list[str]]


@pytest.fixture(scope="module")
async def posted(postgres: RunningPostgres) -> AsyncIterator[Posted]:
    """Books with every kind of event whose heads are signed. Whoever tampers with them restores them."""
    async with open_books(postgres) as books:
        trades = await post(books)
        key = new_key()
        await sign(books, key)
        await save(books)
        yield books, key, trades


async def test_good_books_verify_and_say_how_much_was_looked_at(posted: Posted) -> None:
    books, key, _ = posted
    verified = await verify(books, key)
    assert verified.findings == []
    summary = verified.summary
    assert (summary.transactions, summary.entries) == (await books.count("transactions"), await books.count("entries"))
    assert (summary.accounts, summary.holds) == (await books.count("accounts"), 4)
    assert (summary.chains, summary.statements) == (4, 1)
    assert summary.trusted_key_ids == [key.key_id]
    assert summary.last_signed_at is not None
    assert list(dict.fromkeys(verified.phases)) == ["transactions", "holds", "accounts", "chains", "signatures"]


async def test_empty_books_verify(books: Books) -> None:
    verified = await verify(books)
    assert verified.findings == []
    assert verified.summary.last_signed_at is None


async def test_events_applied_meanwhile_do_not_disturb_a_verification(books: Books) -> None:
    await post(books)
    findings: list[Finding] = []
    entries, batches = await books.count("entries"), 0
    async with aclosing(VerifyLedger(books.database, TrustedKeys([]), books.decode, mode="test")()) as steps:
        async for step in steps:
            if isinstance(step, Finding):
                findings.append(step)
            elif isinstance(step, Progress) and batches < 3:
                batches += 1
                trade = new_trade()
                await books.hold("org_1", trade, gated=False)
                await books.apply(payin("org_1"), payin("org_3"), trade_event("org_1", trade))
            elif isinstance(step, Summary):
                assert step.entries == entries
    assert findings == []
    assert await books.count("entries") > entries


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_what_a_superuser_changes_is_found_and_named(
    posted: tuple[Books, SigningKey, list[str]], case: Case
) -> None:
    books, key, trades = posted
    statements, named = await case(books, trades)
    async with tampered(books, *statements):
        findings = (await verify(books, key)).findings
    assert findings[0][:3] == named
    assert findings[0].expected != findings[0].found


async def test_sum_that_is_broken_is_named_even_where_hashes_fit_it_and_where_its_event_is_gone(posted: Posted) -> None:
    books, key, trades = posted
    settled = SETTLED.format(trade=trades[0])
    row = await books.admin.fetch_row(f"SELECT id, event_id FROM transactions WHERE number = {settled}")
    assert row is not None
    leg = ("entries", f"le_{row['id'][7:]}2", "amount")
    broken = ("transactions", row["id"], "unbalanced")
    async with tampered(
        books, f"UPDATE entries SET amount = amount + 1 WHERE leg = 2 AND transaction_number = {settled}"
    ):
        await unguarded(books, await chain_anew(books, "org_1"))
        findings = (await verify(books, key)).findings
        assert [finding[:3] for finding in findings[:2]] == [leg, broken]
        assert findings[1].found == "EUR 1.00"
        await unguarded(books, [f"DELETE FROM inbox WHERE event_id = '{row['event_id']}'"])
        assert (await verify(books, key)).findings[0][:3] == broken


async def test_chain_that_a_superuser_computes_anew_no_longer_ends_in_the_signed_head(posted: Posted) -> None:
    books, key, trades = posted
    account = "(SELECT id FROM accounts WHERE name = 'partner:EUR:0:org_1')"
    number = await books.admin.fetch_value(f"SELECT {SETTLED.format(trade=trades[0])}")
    later = f"transaction_number >= {number}"
    conversion = f"(SELECT account_id FROM entries WHERE leg = 3 AND transaction_number = {number})"
    close = await books.admin.fetch_value("SELECT close_id FROM head_statements")
    signed = await books.admin.fetch_value("SELECT sequence FROM signed_heads WHERE organization_id = 'org_1'")
    # The partner paid 1.00 instead of 100.00, and everything that follows from it is made to fit.
    steps = [
        f"UPDATE entries SET amount = amount + 99.00 WHERE leg = 1 AND transaction_number = {number}",
        f"UPDATE entries SET amount = amount - 99.00 WHERE leg = 3 AND transaction_number = {number}",
        f"UPDATE entries SET balance_after = balance_after + 99.00 WHERE account_id = {account} AND {later}",
        f"UPDATE accounts SET balance = balance + 99.00 WHERE id = {account}",
        f"UPDATE accounts SET balance = balance - 99.00 WHERE id = {conversion}",
        f"UPDATE holds SET amount = amount - 99.00 WHERE trade_id = '{trades[0]}'",
    ]
    async with tampered(books, *steps):
        assert {finding.what for finding in (await verify(books, key)).findings} == {"amount"}
        await unguarded(books, await chain_anew(books, "org_1"))
        findings = (await verify(books, key)).findings
        assert [finding[:3] for finding in findings] == [("signed_heads", f"{close} org_1 {signed}", "signed_head")]

        # Signed anew with a key of his own, and that key put among ours: still nobody else trusts it.
        own = new_key()
        forged = await sign(books, own, day=23)
        findings = (await verify(books, key)).findings
        assert [finding.what for finding in findings] == ["signed_head", "key_not_trusted"]
        assert findings[1].row_id == forged.statement.close.close_id
