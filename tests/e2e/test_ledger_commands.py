"""The books from the command line: proved, looked up, and taken home. Source: CONTRACT §8 and §12."""

import asyncpg

from poolctl.session import Addresses
from tests.e2e.commands import Poolctl
from tests.e2e.partners import Partner


async def test_verify_proves_the_books_and_ends_with_1_where_a_superuser_changed_them(
    poolctl: Poolctl, addresses: Addresses, partner: Partner
) -> None:
    answer = await poolctl.answer("ledger", "verify")
    assert answer["ok"] is True
    assert answer["findings"] == []
    assert answer["entries"] >= 2
    assert len(answer["trustedKeyIds"]) == 1

    account = f"partner:EUR:0:{partner.organization_id}"
    superuser = await asyncpg.connect(addresses.admin_databases["ledger"])
    try:
        change = "UPDATE accounts SET balance = balance + $2::numeric WHERE name = $1"
        await superuser.execute(change, account, 1)
        ended = await poolctl("ledger", "verify", "--json")
        told = await poolctl("ledger", "verify")
        await superuser.execute(change, account, -1)
    finally:
        await superuser.close()
    assert (ended.status, told.status) == (1, 1)
    assert ended.document["ok"] is False
    [finding] = ended.document["findings"]
    assert (finding["table"], finding["id"], finding["what"]) == ("accounts", account, "balance")
    assert account in told.stdout
    assert account in told.stderr
