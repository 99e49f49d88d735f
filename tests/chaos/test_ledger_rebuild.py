"""After all that the tests before it killed: the books verify, and the stored events make them again to the byte."""

from __future__ import annotations

from poolctl.session import Session
from pools.ledger.v1 import audit_pb2
from tests.chaos.conftest import Town
from tests.e2e.commands import Poolctl


async def test_after_the_chaos_the_books_verify_and_can_be_rebuilt_from_what_the_owners_told(town: Town) -> None:
    # In their order, the tests of this folder leave thousands of rows; without them there are the treasury's top-ups.
    async with Session(town.addresses) as session:
        steps = [step async for step in session.ledger.audit.VerifyLedger(audit_pb2.VerifyLedgerRequest())]
    assert [step.finding for step in steps if step.HasField("finding")] == []
    assert steps[-1].summary.ok

    ended = await Poolctl(town.addresses.data_dir)("ledger", "rebuild", "--against-owners", "--json")
    assert ended.status == 0, ended.stdout + ended.stderr
    books = ended.document
    assert (books["differences"], books["owners"]["differences"]) == ({}, {})
    assert books["compared"]["transactions"] >= steps[-1].summary.transaction_count > 0
    assert sum(books["owners"]["compared"].values()) >= books["events"] > 0
