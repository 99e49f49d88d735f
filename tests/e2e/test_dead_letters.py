"""A poison event stops nobody: it is set aside alone, shown with its reason, and booked when replayed after the fix."""

import uuid
from typing import Any

import asyncpg

from poolctl.session import Addresses
from tests.e2e.commands import Poolctl
from tests.e2e.databases import Databases
from tests.e2e.partners import Partner
from tests.waiting import eventually


async def test_an_event_the_ledger_cannot_book_is_shown_and_booked_after_the_fix(
    partner: Partner, poolctl: Poolctl, addresses: Addresses, databases: Databases
) -> None:
    reference = f"poison {uuid.uuid4().hex}"
    books = await asyncpg.connect(addresses.admin_databases["ledger"])
    try:
        # The fault that a release may bring: a rule that one event breaks.
        rule = f"CHECK (client_reference <> '{reference}') NOT VALID"
        await books.execute(f"ALTER TABLE transactions ADD CONSTRAINT faulty {rule}")
        try:
            poison = await partner.rest.accept(amount="20.00", clientReference=reference)
            sound = await partner.rest.accept(amount="30.00")

            async def buried() -> bool:
                dead = "SELECT count(*) FROM inbox WHERE organization_id = $1 AND state = 'dead'"
                return bool(await databases.value("ledger", dead, partner.organization_id))

            await eventually(buried, "the poison is set aside", seconds=30)
            await eventually(lambda: posted(databases, sound), "its neighbour is booked", seconds=30)
        finally:
            await books.execute("ALTER TABLE transactions DROP CONSTRAINT faulty")
    finally:
        await books.close()

    async def listed() -> dict[str, Any] | None:
        letters = (await poolctl.answer("dlq", "list", "--service", "ledger"))["deadLetters"]
        return next((row for row in letters if row["organizationId"] == partner.organization_id), None)

    letter = await eventually(listed, "the letter is shown", seconds=30)
    assert (letter["type"], letter["reason"]) == ("pool.transaction.settled", "CheckViolationError")
    assert letter["requestId"] == poison["requestId"]
    assert not await posted(databases, poison)

    replayed = await poolctl.answer("dlq", "replay", letter["eventId"])
    assert [row["letterId"] for row in replayed["replayed"]] == [letter["letterId"]]
    await eventually(lambda: posted(databases, poison), "it is booked", seconds=30)
    assert await partner.rest.available() == "950.00"
    again = await listed()
    assert again is not None
    assert again["replayedAt"] is not None


async def posted(databases: Databases, trade: dict[str, Any]) -> bool:
    query = "SELECT count(*) FROM transactions WHERE trade_id = $1"
    return bool(await databases.value("ledger", query, trade["transactId"]) == 1)
