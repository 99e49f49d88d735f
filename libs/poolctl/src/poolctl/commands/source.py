"""Owns `poolctl source`: who may post webhooks to us, and with which secrets."""

from typing import Annotated

import typer

from poolctl.commands import documents
from poolctl.commands.listing import every_row
from poolctl.commands.options import DEFAULT_DATA_DIR, DataDir, Json, print_json
from poolctl.commands.partner import split
from poolctl.screen import console, show_fields, table
from poolctl.session import Session, ask
from pools.webhook_ingest.v1 import webhook_ingest_pb2

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Makes, lists and rotates sources of webhooks.\n\nExample: poolctl source create acme --kinds trade.settled",
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="1 to 64 of a-z, 0-9 and -; the last part of its address.")]
_SCHEMES = {
    "standard": webhook_ingest_pb2.SIGNATURE_SCHEME_STANDARD,
    "timed_hex": webhook_ingest_pb2.SIGNATURE_SCHEME_TIMED_HEX,
    "hex": webhook_ingest_pb2.SIGNATURE_SCHEME_HEX,
}


@app.command("create")
def create(
    name: Name,
    kinds: Annotated[str, typer.Option(metavar="K,…", help="Kinds it may send; every trade.* kind unless named.")] = "",
    scheme: Annotated[
        str, typer.Option(metavar="S", help="How it signs: standard (Standard Webhooks), timed_hex or hex.")
    ] = "standard",
    signature_header: Annotated[
        str, typer.Option(metavar="H", help="The header of its signature, where it signs timed_hex or hex.")
    ] = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Json = False,
) -> None:
    """Makes a source and its secret, which is shown this once.

    Example: poolctl source create acme-bank --kinds payin.credited
    """
    if scheme not in _SCHEMES:
        raise typer.BadParameter(f"it is one of {', '.join(_SCHEMES)}.", param_hint="--scheme")
    request = webhook_ingest_pb2.CreateSourceRequest(
        name=name, kinds=split(kinds), scheme=_SCHEMES[scheme], signature_header=signature_header
    )

    async def question(session: Session) -> documents.Document:
        made = await session.webhook_ingest.admin.CreateSource(request)
        url = session.addresses.webhooks + made.source.path
        return {"name": made.source.name, "secret": made.secret, "url": url, "kinds": list(made.source.kinds)}

    _show_with_secret(ask(data_dir, question), as_json=as_json)


@app.command("list")
def list_sources(data_dir: DataDir = DEFAULT_DATA_DIR, as_json: Json = False) -> None:
    """Lists the sources by name, without their secrets.

    Example: poolctl source list
    """

    async def question(session: Session) -> list[documents.Document]:
        request = webhook_ingest_pb2.ListSourcesRequest()
        rows = await every_row(session.webhook_ingest.admin.ListSources, request, "sources")
        return [documents.source(row, session.addresses.webhooks) for row in rows]

    rows = ask(data_dir, question)
    if as_json:
        print_json({"sources": rows})
        return
    shown = table("source", "address", "kinds", "secrets>")
    for row in rows:
        shown.add_row(row["name"], row["url"], ", ".join(row["kinds"]), str(row["activeSecrets"]))
    console().print(shown)


@app.command("rotate")
def rotate(
    name: Name,
    overlap_seconds: Annotated[
        int, typer.Option(min=0, max=604_800, help="How long the secrets before it stay valid.")
    ] = 86_400,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Json = False,
) -> None:
    """Adds a new secret, shown this once; the ones before it stay valid for the overlap.

    Example: poolctl source rotate acme-bank --overlap-seconds 3600
    """
    request = webhook_ingest_pb2.RotateSourceRequest(name=name, overlap_seconds=overlap_seconds)

    async def question(session: Session) -> documents.Document:
        made = await session.webhook_ingest.admin.RotateSource(request)
        url = session.addresses.webhooks + made.source.path
        return {"name": made.source.name, "secret": made.secret, "url": url, "kinds": list(made.source.kinds)}

    _show_with_secret(ask(data_dir, question), as_json=as_json)


def _show_with_secret(document: documents.Document, *, as_json: bool) -> None:
    if as_json:
        print_json(document)
        return
    show_fields(document)
    typer.echo("The secret is not shown again.", err=True)
