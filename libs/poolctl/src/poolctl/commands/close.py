"""Owns `poolctl close`: closing a business date, reading what it said, and handing it to finance."""

import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from poolctl.closes.csv_table import write_csv
from poolctl.closes.document import close_document, counted, kind_word, known_ids, money_text
from poolctl.closes.json_document import write_json
from poolctl.closes.page import write_page
from poolctl.commands.documents import time_text
from poolctl.commands.options import DEFAULT_DATA_DIR, DataDir, Json, print_json, written_whole
from poolctl.failure import CommandFailure
from poolctl.screen import amount_text, console, seconds_text, show_fields, table
from poolctl.session import Session, ask
from pools.ledger.v1 import close_pb2

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Closes the day and shows what does not add up.\n\nExample: poolctl close run --date 2026-11-22",
)
Writer = Callable[[TextIO, close_pb2.Close, AsyncIterator[close_pb2.CloseException]], Coroutine[Any, Any, None]]
_FORMATS: dict[str, Writer] = {"csv": write_csv, "json": write_json, "html": write_page}
_SHOWN_MAX = 50

BusinessDate = Annotated[
    str,
    typer.Option("--date", metavar="DATE", help="UTC date, 2026-11-22; yesterday unless given.", show_default=False),
]
Revision = Annotated[int, typer.Option("--revision", min=0, help="Which one, from 1; 0 is the newest.")]


@app.command("run")
def run_close(
    business_date: BusinessDate = "",
    wait: Annotated[
        int, typer.Option(min=0, max=600, help="Seconds to wait for what is still to come; 0 is the ledger's setting.")
    ] = 0,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Json = False,
) -> None:
    """Closes a business date; where nothing has changed since its newest revision, shows that one.

    Example: poolctl close run --date 2026-11-22
    """
    request = close_pb2.RunCloseRequest(
        business_date=_date(business_date),
        wait_seconds_max=wait,
        requested_by=f"poolctl {os.environ.get('USER', '')}".strip(),
    )

    async def question(session: Session) -> None:
        outcome = None
        async for step in session.ledger.closes.RunClose(request):
            if step.HasField("outcome"):
                outcome = step.outcome
            else:
                sys.stderr.write(f"{_counted(step.progress)}\n")
        if outcome is None:
            raise CommandFailure("the ledger ended the run without an answer. Run it again: it goes on where it was.")
        close = outcome.close
        found = _exceptions(session, close)
        if as_json:
            await write_json(sys.stdout, close, found, created=outcome.created)
            return
        if not outcome.created:
            print(f"Nothing has changed since revision {close.revision}.")
        await _show(close, found)

    ask(data_dir, question)


@app.command("show")
def show_close(
    business_date: BusinessDate = "",
    revision: Revision = 0,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Json = False,
) -> None:
    """Shows a close and its exceptions.

    Example: poolctl close show --date 2026-11-22 --revision 1
    """

    async def question(session: Session) -> None:
        close = await _get(session, business_date, revision)
        if as_json:
            await write_json(sys.stdout, close, _exceptions(session, close))
        else:
            await _show(close, _exceptions(session, close))

    ask(data_dir, question)


@app.command("list")
def list_closes(
    limit: Annotated[int, typer.Option(min=1, max=200, help="The most to show.")] = 50,
    cursor: Annotated[str, typer.Option(help="Go on from here: `nextCursor` of the list before.")] = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Json = False,
) -> None:
    """Lists closes, the newest first.

    Example: poolctl close list --limit 31
    """
    request = close_pb2.ListClosesRequest(page_size=limit, page_token=cursor)

    async def question(session: Session) -> close_pb2.ListClosesResponse:
        answer: close_pb2.ListClosesResponse = await session.ledger.closes.ListCloses(request)
        return answer

    page = ask(data_dir, question)
    if as_json:
        print_json(
            {
                "closes": [close_document(close) for close in page.closes],
                "hasMore": bool(page.next_page_token),
                "nextCursor": page.next_page_token or None,
            }
        )
        return
    shown = table("date", "revision>", "kind", "matched>", "exceptions>", "stored")
    for close in page.closes:
        shown.add_row(
            close.business_date,
            str(close.revision),
            "provisional" if close.provisional else "final",
            f"{close.matched_count:,}",
            f"{close.exception_count:,}",
            time_text(close.create_time),
        )
    console().print(shown)


@app.command("export")
def export_close(
    business_date: BusinessDate = "",
    revision: Revision = 0,
    form: Annotated[str, typer.Option("--format", metavar="|".join(_FORMATS), help="What to write.")] = "csv",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Where to; standard output unless given.")
    ] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Json = False,
) -> None:
    """Writes a close with all its exceptions: a table, a document (also `--json`), or a page to read and print.

    Example: poolctl close export --date 2026-11-22 --format html --out close.html
    """
    write = _FORMATS.get("json" if as_json else form)
    if write is None:
        raise typer.BadParameter(f"{form!r} is not one of {', '.join(_FORMATS)}.", param_hint="--format")

    async def question(session: Session) -> None:
        close = await _get(session, business_date, revision)
        with written_whole(out) as target:
            await write(target, close, _exceptions(session, close))
        if out is not None:
            sys.stderr.write(f"Revision {close.revision} of {close.business_date} is in {out}.\n")

    ask(data_dir, question)


async def _get(session: Session, business_date: str, revision: int) -> close_pb2.Close:
    request = close_pb2.GetCloseRequest(business_date=_date(business_date), revision=revision)
    answer: close_pb2.GetCloseResponse = await session.ledger.closes.GetClose(request)
    return answer.close


async def _exceptions(session: Session, close: close_pb2.Close) -> AsyncIterator[close_pb2.CloseException]:
    request = close_pb2.StreamCloseExceptionsRequest(business_date=close.business_date, revision=close.revision)
    async for part in session.ledger.closes.StreamCloseExceptions(request):
        for found in part.exceptions:
            yield found


def _date(text: str) -> str:
    if not text:
        return (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a date such as 2026-11-22.", param_hint="--date") from None


def _counted(progress: close_pb2.CloseProgress) -> str:
    counts = f" ({progress.trade_count:,} trades, {progress.exception_count:,} exceptions)"
    return progress.message + (counts if progress.trade_count or progress.exception_count else "")


async def _show(close: close_pb2.Close, exceptions: AsyncIterator[close_pb2.CloseException]) -> None:
    kinds = counted(close.exception_totals)
    show_fields(
        {
            "close": close.close_id,
            "date": close.business_date,
            "revision": close.revision,
            "kind": "provisional" if close.provisional else "final",
            "books": "balanced" if close.balanced else "NOT balanced",
            "matched trades": close.matched_count,
            "exceptions": ", ".join(f"{count} {kind}" for kind, count in kinds.items()) or "none",
            "signed": f"statement {close.signature.statement_number} with key {close.signature.key_id}",
        }
    )
    print()
    balance = table("accounts", "sum>", "currency", "entries>")
    for line in close.trial_balance:
        balance.add_row(
            line.account_kind, amount_text(line.amount.amount), line.amount.currency, f"{line.entry_count:,}"
        )
    console().print(balance)
    for sentence in close.changes.sentences:
        print(f"changed: {sentence}")
    shown = 0
    async for found in exceptions:
        if shown == _SHOWN_MAX:
            print(f"… {close.exception_count - shown:,} more: poolctl close export --date {close.business_date}")
            break
        shown += 1
        ids = " ".join(f"{name}={value}" for name, value in known_ids(found.ids).items())
        print(f"\n{found.number}. {kind_word(found.kind)}: {found.description}\n   {ids}")
        if found.amounts:
            said = (f"{each.side} {each.of} {money_text(each.amount) or 'unknown'}" for each in found.amounts)
            print(f"   {'; '.join(said)}")
        if found.HasField("occur_time"):
            print(f"   since {time_text(found.occur_time)}, {seconds_text(found.age_seconds)} before the cut")
        print(f"   next: {found.next_step} ({found.runbook})")
