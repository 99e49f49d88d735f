"""Owns `poolctl key`: the keys of partners, and the search for leaked ones."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from poolctl.commands import documents
from poolctl.commands.listing import every_row
from poolctl.commands.options import DEFAULT_DATA_DIR, DataDir, Json, print_json
from poolctl.commands.partner import Organization, chosen
from poolctl.commands.spans_of_time import span_of_time
from poolctl.screen import console, show_fields, table
from poolctl.session import Session, ask
from pools.gateway.v1 import admin_pb2

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Makes, lists, rotates, revokes and finds API keys.\n\nExample: poolctl key list org_01HZY0",
)
KeyId = Annotated[str, typer.Argument(metavar="KEY_ID", help="The key's id, key_…; never the key itself.")]
_OVERLAP_MAX = timedelta(days=30)


@app.command("create")
def create(
    organization: Organization,
    kind: Annotated[
        str, typer.Option(metavar="secret|publishable", help="Publishable keys may only list pools.")
    ] = "secret",
    label: Annotated[str, typer.Option(help="For people; appears in the request log and in records.")] = "poolctl",
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Json = False,
) -> None:
    """Makes a key, shown this once; only a keyed hash of it is kept.

    Example: poolctl key create org_01HZY0 --label checkout
    """
    number = chosen("--kind", kind, {"publishable": 1, "secret": 2, "pk": 1, "sk": 2})
    request = admin_pb2.CreateKeyRequest(organization_id=organization, kind=number, label=label)

    async def question(session: Session) -> documents.Document:
        made = await session.gateway.admin.CreateKey(request)
        return {**documents.api_key(made.api_key), "key": made.plaintext_key}

    document = ask(data_dir, question)
    if as_json:
        print_json(document)
        return
    show_fields(document)
    typer.echo("The key is not shown again.", err=True)


@app.command("list")
def list_keys(organization: Organization, data_dir: DataDir = DEFAULT_DATA_DIR, as_json: Json = False) -> None:
    """Lists an organization's keys, newest first, without the keys themselves, and when they end or have ended.

    Example: poolctl key list org_01HZY0
    """

    async def question(session: Session) -> list[documents.Document]:
        request = admin_pb2.ListKeysRequest(organization_id=organization)
        rows = await every_row(session.gateway.admin.ListKeys, request, "api_keys")
        return [documents.api_key(row) for row in rows]

    rows = ask(data_dir, question)
    if as_json:
        print_json({"keys": rows})
        return
    shown = table("key", "kind", "label", "created", "end")
    for row in rows:
        shown.add_row(row["keyId"], row["kind"], row["label"], row["createdAt"], _end_of(row))
    console().print(shown)


def _end_of(row: documents.Document) -> str:
    if row["revokedAt"]:
        return f"revoked {row['revokedAt']}"
    return f"expires {row['expiresAt']}" if row["expiresAt"] else ""


@app.command("rotate")
def rotate(
    key_id: KeyId,
    overlap: Annotated[
        str, typer.Option(metavar="24h", help="How long the old key stays valid: 90s, 30m, 24h, 7d; 0 to 30d.")
    ] = "24h",
    organization: Annotated[
        str, typer.Option("--organization", metavar="ORG", help="Refuse a key that is not this one's.")
    ] = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Json = False,
) -> None:
    """Makes a key in the place of another, shown this once; the old one stays valid for the overlap.

    The new key has the old one's organization, kind and label. A key is rotated once; rotate the new one next time.

    Example: poolctl key rotate key_01HZY0 --overlap 24h
    """
    request = admin_pb2.RotateKeyRequest(
        key_id=key_id, organization_id=organization, overlap=span_of_time("--overlap", overlap, longest=_OVERLAP_MAX)
    )

    async def question(session: Session) -> documents.Document:
        made = await session.gateway.admin.RotateKey(request)
        replaced = documents.api_key(made.replaced_key)
        return {**documents.api_key(made.api_key), "key": made.plaintext_key, "replacedKey": replaced}

    document = ask(data_dir, question)
    if as_json:
        print_json(document)
        return
    replaced = document.pop("replacedKey")
    show_fields(document)
    typer.echo(f"The key is not shown again. {replaced['keyId']} is refused from {replaced['expiresAt']} on.", err=True)


@app.command("revoke")
def revoke(
    key: KeyId,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Json = False,
) -> None:
    """Revokes a key for good; every replica refuses it within 2 s. Revoking it again changes nothing.

    Example: poolctl key revoke key_01HZY0
    """

    async def question(session: Session) -> documents.Document:
        answer = await session.gateway.admin.RevokeKey(admin_pb2.RevokeKeyRequest(key_id=key))
        return documents.api_key(answer.api_key)

    document = ask(data_dir, question)
    if as_json:
        print_json(document)
    else:
        show_fields(document)


@app.command("scan")
def scan(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH…", exists=True, readable=False, help="Files, folders, archives, repositories."),
    ],
    as_json: Json = False,
) -> None:
    """Searches for leaked secret keys, offline; exits 1 when it finds one, or could not read something.

    Looks into archives, compressed files and the history of git repositories. A key's checksum tells it from noise.
    Exits 0 only when everything was read and holds no secret key, 2 for a path that does not exist.

    Example: poolctl key scan dist/ app.ipa .git
    """
    from poolctl.keyscan.scan import scan_paths

    report = scan_paths(paths)
    if as_json:
        print_json(report.document())
    else:
        for finding in report.findings:
            print(f"{finding.place}: {finding.redacted}")
        for trouble in report.unread:
            typer.echo(f"not read: {trouble}", err=True)
        count = len(report.findings)
        found = "no secret key" if not count else f"{count} secret key{'s' if count > 1 else ''}"
        typer.echo(f"{found} in {report.read_count:,} files ({report.read_bytes / 1e6:,.1f} MB)", err=True)
    if not report.ok:
        raise typer.Exit(1)
