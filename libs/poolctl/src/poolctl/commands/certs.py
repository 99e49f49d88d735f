"""Owns `poolctl certs`: a dev CA, and a certificate for each who calls or serves."""

from pathlib import Path
from typing import Annotated, Any

import typer

from poolctl.commands.options import DEFAULT_DATA_DIR, DataDir, Json, print_json
from poolctl.deployment import refuse
from poolctl.failure import CommandFailure
from poolctl.stack.layout import Layout


def command(
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Write them here, not for a stack.")] = None,
    hours: Annotated[float, typer.Option(min=0.01, max=720.0, help="How long they are good for.")] = 24.0,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Json = False,
) -> None:
    """Issues certificates for everybody who calls or serves, from a CA that is made where there is none yet.

    Each has a folder with tls.crt, tls.key and ca.crt; keys are readable by you alone. A stack that runs with --mtls
    takes new ones up by itself. For development: in production a CA of yours issues them.

    Example: poolctl certs && poolctl up --mtls

    Example: poolctl certs --out deploy/.secrets/tls --hours 72
    """
    from poolctl.certificate_files import CA
    from poolctl.certificates import issue_all
    from poolkit.rpc.callers import CALLERS

    if out is None:
        refuse(Layout.at(data_dir), "Its own CA issues its certificates: docs/identity.md says how they are renewed.")
    folder = (out or Layout.at(data_dir).certificates).absolute()
    try:
        issued = issue_all(folder, CALLERS, hours=hours)
    except OSError as failure:
        raise CommandFailure(f"{folder} cannot be written to: {failure.strerror or failure}.") from failure
    document: dict[str, Any] = {
        "ca": str(folder / CA),
        "certificates": [
            {"name": one.name, "folder": str(one.folder), "endsAt": one.ends_at.isoformat()} for one in issued
        ],
    }
    if as_json:
        print_json(document)
    else:
        _show(document)


def _show(document: dict[str, Any]) -> None:
    from poolctl.screen import console, table

    rows = table("name", "good until", "folder")
    for one in document["certificates"]:
        rows.add_row(one["name"], one["endsAt"], one["folder"])
    console().print(rows)
    console().print(f"issued by the CA in {document['ca']}", highlight=False)
