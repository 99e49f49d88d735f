"""Owns `poolctl ledger verify`: how far a verification is, and what it found, for a person or a script."""

from typing import TYPE_CHECKING, Annotated

import typer

from poolctl.commands import documents
from poolctl.commands.options import DEFAULT_DATA_DIR, DataDir, Json, print_json
from poolctl.screen import console, show_fields
from poolctl.session import Session, ask
from pools.ledger.v1 import audit_pb2

if TYPE_CHECKING:
    from rich.progress import Progress


def verify(
    findings: Annotated[int, typer.Option(min=1, max=1_000, help="The most findings to show; all are counted.")] = 100,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Json = False,
) -> None:
    """Checks chains, sums, balances, holds and signed heads of the whole ledger; exits 1 where something is wrong.

    Example: poolctl ledger verify
    """
    document = ask(data_dir, lambda session: _verify(session, findings, told=not as_json))
    if as_json:
        print_json(document)
    else:
        _show(document)
    if not document["ok"]:
        raise typer.Exit(1)


async def _verify(session: Session, findings: int, *, told: bool) -> documents.Document:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:<12}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    found: list[documents.Document] = []
    summary = None
    request = audit_pb2.VerifyLedgerRequest(finding_count_max=findings)
    # On stderr, and drawn on a terminal alone: what is piped is the outcome.
    with Progress(*columns, console=console(stderr=True), disable=not told) as progress:
        async for step in session.ledger.audit.VerifyLedger(request):
            if step.HasField("progress"):
                _draw(progress, step.progress)
            elif step.HasField("finding"):
                found.append(documents.ledger_finding(step.finding))
            else:
                summary = step.summary
    # A stream that ends without one has raised.
    assert summary is not None
    return {**documents.verification(summary), "findings": found}


def _draw(progress: "Progress", step: audit_pb2.VerificationProgress) -> None:
    task = next((task.id for task in progress.tasks if task.description == step.phase), None)
    if task is None:
        task = progress.add_task(step.phase)
    progress.update(task, completed=step.row_count, total=step.row_count_total or step.row_count)


def _show(document: documents.Document) -> None:
    # Whole lines and no table: an id that is folded cannot be searched for.
    for row in document["findings"]:
        expected, found = row["expected"] or "nothing", row["found"] or "nothing"
        typer.echo(f"{row['table']} {row['id']}: {row['what']} must be {expected}, and is {found}")
    show_fields({name: value for name, value in document.items() if name != "findings"})
    if document["ok"]:
        typer.echo("The books are in order.")
    else:
        first = document["findings"][0]
        count = document["findingCount"]
        typer.echo(
            f"{count:,} {'row is' if count == 1 else 'rows are'} not as they must be; the first is {first['id']} in "
            f"{first['table']}. Stop posting corrections by hand and see docs/ledger.md, “When it does not verify”.",
            err=True,
        )
