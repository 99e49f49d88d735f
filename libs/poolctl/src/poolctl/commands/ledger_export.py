"""Owns `poolctl ledger export`: a partner's chain in a file that the partner can check without trusting us."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from poolctl.commands.options import DEFAULT_DATA_DIR, DataDir, Json, print_json, written_whole
from poolctl.commands.partner import Organization
from poolctl.ledger_export import FORMATS, Written, write_export
from poolctl.session import Session, ask


def export(
    organization: Organization,
    form: Annotated[str, typer.Option("--format", metavar="|".join(FORMATS), help="A table or JSON lines.")] = "csv",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Where to; standard output unless given.")
    ] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Json = False,
) -> None:
    """Writes every transaction of an organization with its link; docs/examples/check_ledger.py checks it.

    Example: poolctl ledger export org_01HZY0 --format csv --out ledger.csv
    """
    if form not in FORMATS:
        raise typer.BadParameter(f"{form!r} is not one of {', '.join(FORMATS)}.", param_hint="--format")
    if as_json and out is None:
        raise typer.BadParameter("say where to: --json tells of it on standard output.", param_hint="--out")
    written = ask(data_dir, lambda session: export_to(session, organization, form, out))
    if as_json:
        print_json({"file": str(out), "transactions": written.transactions, "lastLink": written.last_link or None})
    else:
        sys.stderr.write(
            f"{written.transactions:,} transactions; the last link is {written.last_link or 'none yet'}.\n"
        )


async def export_to(session: Session, organization_id: str, form: str, out: Path | None) -> Written:
    """Writes the export, whole or not at all; to standard output where no file is named."""
    with written_whole(out) as target:
        return await write_export(session, organization_id, form, target)
