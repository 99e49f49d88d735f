"""A partner's export checks with the published script, and no changed, missing or moved row does."""

import asyncio
import csv
import io
import json
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from ledger.store import exports
from poolctl.commands.ledger_export import export_to
from poolctl.failure import CommandFailure
from poolctl.ledger_export import write_export
from poolctl.session import Session
from poolkit.errors import InvalidRequest
from pools.types.v1 import types_pb2
from tests.integration.databases import RunningPostgres
from tests.integration.ledger.audits import audit_session
from tests.integration.ledger.books import new_trade, open_books
from tests.integration.ledger.events import payin, trade_event

SCRIPT = Path(__file__).parents[3] / "docs" / "examples" / "check_ledger.py"
FORMATS = ("csv", "jsonl")
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
async def session(postgres: RunningPostgres) -> AsyncIterator[Session]:
    """A ledger with two partners, the first with every kind of trade, one under a reference that is hard to write."""
    async with open_books(postgres) as books:
        bought, sold = new_trade(), new_trade()
        await books.apply(payin("org_1"), payin("org_2"))
        await books.apply(
            trade_event("org_1", bought, client_reference='=1,"Ä"\n\r two lines'),
            trade_event("org_1", sold, side=types_pb2.SIDE_OFF_RAMP, client_reference=""),
        )
        await books.apply(trade_event("org_1", bought, "returned", client_reference='=1,"Ä"\n\r two lines'))
        async with audit_session(books) as opened:
            yield opened


async def export(session: Session, form: str, organization_id: str = "org_1") -> str:
    target = io.StringIO(newline="")
    written = await write_export(session, organization_id, form, target)
    text = target.getvalue()
    assert written.transactions == len(rows_of(text, form))
    assert not written.transactions or rows_of(text, form)[-1]["link"] == written.last_link
    return text


def rows_of(text: str, form: str) -> Rows:
    if form == "csv":
        return list(csv.DictReader(io.StringIO(text, newline="")))
    return [json.loads(line) for line in text.splitlines()]


def text_of(rows: Rows, form: str) -> str:
    if form == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows)
    target = io.StringIO(newline="")
    table = csv.DictWriter(target, rows[0].keys())
    table.writeheader()
    table.writerows(rows)
    return target.getvalue()


async def check(file: Path, text: str, *words: str) -> tuple[int, str]:
    """Runs the script as a partner would: its exit status and what it says."""
    with file.open("w", encoding="utf-8", newline="") as target:
        target.write(text)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", str(SCRIPT), str(file), *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, told.decode()


def changed(field: str, value: str, place: int = 1) -> Callable[[Rows], Rows]:
    def change(rows: Rows) -> Rows:
        return [{**row, field: value} if index == place else row for index, row in enumerate(rows)]

    return change


TAMPERINGS: dict[str, Callable[[Rows], Rows]] = {
    "amount": changed("delta", "-99.00"),
    "balance": changed("balanceAfter", "1.00"),
    "reference": changed("clientReference", "another"),
    "other legs": changed("othersDigest", "00" * 32),
    "link": changed("link", "00" * 32, place=3),
    "row left out": lambda rows: rows[:1] + rows[2:],
    "rows swapped": lambda rows: [rows[0], rows[2], rows[1], rows[3]],
    "beginning left out": lambda rows: rows[1:],
}


@pytest.mark.parametrize("form", FORMATS)
async def test_export_checks_with_the_published_script_and_a_tampered_one_does_not(
    session: Session, tmp_path: Path, form: str
) -> None:
    file, text = tmp_path / f"ledger.{form}", await export(session, form)
    rows = rows_of(text, form)
    assert [row["reason"] for row in rows] == ["payin_credit", "buy_debit", "sell_credit", "buy_refund"]
    assert rows[1]["clientReference"] == '=1,"Ä"\n\r two lines'
    assert [row["balanceAfter"] for row in rows] == ["1000.00", "900.00", "991.65", "1091.65"]

    checked = await check(file, text)
    assert checked[0] == 0, checked[1]
    assert checked[1].startswith("4 transactions")
    assert checked[1].strip().endswith(rows[-1]["link"])
    assert (await check(file, text, rows[1]["link"]))[0] == 0

    ends = await asyncio.gather(
        *(
            check(tmp_path / f"{number}.{form}", text_of(tampering(rows), form))
            for number, tampering in enumerate(TAMPERINGS.values())
        )
    )
    assert dict(zip(TAMPERINGS, [status for status, _ in ends], strict=True)) == dict.fromkeys(TAMPERINGS, 1)
    assert all("does not follow" in told for _, told in ends)


async def test_link_kept_from_an_earlier_export_finds_out_a_chain_that_was_made_anew(
    session: Session, tmp_path: Path
) -> None:
    status, told = await check(tmp_path / "ledger.csv", await export(session, "csv"), "00" * 32)
    assert status == 1
    assert "changed" in told


async def test_chain_is_streamed_in_pages_and_tells_nothing_of_the_other_legs(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = await export(session, "jsonl")
    monkeypatch.setattr(exports, "PAGE_TRANSACTIONS", 1)
    assert await export(session, "jsonl") == whole
    for word in ("fees", "spread", "conversion", "inventory", "bank", "107.904009", "0.378991"):
        assert word not in whole


@pytest.mark.parametrize("form", FORMATS)
async def test_organization_without_a_transaction_has_an_empty_chain(
    session: Session, tmp_path: Path, form: str
) -> None:
    status, told = await check(tmp_path / f"ledger.{form}", await export(session, form, "org_new"))
    assert (status, told.split()[0]) == (0, "0")


async def test_export_is_whole_or_not_there(session: Session, tmp_path: Path) -> None:
    written = await export_to(session, "org_1", "csv", tmp_path / "ledger.csv")
    assert (written.transactions, [file.name for file in tmp_path.iterdir()]) == (4, ["ledger.csv"])
    with pytest.raises(CommandFailure, match="cannot be written"):
        await export_to(session, "org_1", "csv", tmp_path / "missing" / "ledger.csv")
    with pytest.raises(InvalidRequest):
        await export_to(session, "", "csv", tmp_path / "nobody.csv")
    assert [file.name for file in tmp_path.iterdir()] == ["ledger.csv"]
