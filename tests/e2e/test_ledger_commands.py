"""The books from the command line: proved, looked up, and taken home. Source: CONTRACT §8 and §12."""

import asyncio
import json
import sys
from pathlib import Path

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
        ended = await poolctl("ledger", "verify")
        await superuser.execute(change, account, -1)
    finally:
        await superuser.close()
    assert ended.status == 1
    assert f"accounts {account}: balance must be 1000.00, and is 1001.00\n" in ended.stdout
    assert account in ended.stderr


async def test_balance_tells_what_an_account_has_and_had(poolctl: Poolctl, partner: Partner) -> None:
    organization_id = partner.organization_id
    now = await poolctl.answer("ledger", "balance", organization_id, "--currency", "EUR")
    assert (now["account"], now["currency"], now["balance"], now["sequence"]) == (organization_id, "EUR", "1000.00", 1)
    bank = await poolctl.answer("ledger", "balance", "bank", "--currency", "EUR", "--at", now["bookedAt"])
    assert bank["balance"].startswith("-")


async def test_export_goes_to_a_file_and_checks(poolctl: Poolctl, partner: Partner, tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    words = ("ledger", "export", partner.organization_id, "--format", "jsonl", "--out", str(file))
    told = await poolctl.answer(*words)
    assert (told["file"], told["transactions"]) == (str(file), 1)
    assert json.loads(file.read_text(encoding="utf-8"))["link"] == told["lastLink"]

    script = Path(__file__).parents[2] / "docs" / "examples" / "check_ledger.py"
    checking = await asyncio.create_subprocess_exec(sys.executable, str(script), str(file), told["lastLink"])
    assert await checking.wait() == 0
