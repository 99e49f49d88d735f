"""Owns `poolctl ledger rebuild`: an empty database on the stack's PostgreSQL, the ledger's own command, its verdict."""

import asyncio
import json
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from poolctl.commands.options import DEFAULT_DATA_DIR, DataDir, Json, print_json
from poolctl.deployment import refuse
from poolctl.failure import CommandFailure
from poolctl.screen import console, show_fields, table
from poolctl.session import Addresses, running_stack

Document = dict[str, Any]


def rebuild(
    against_owners: Annotated[
        bool, typer.Option("--against-owners", help="Also compare the stored events with their owners' outboxes.")
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the rebuilt database there, to look at.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Json = False,
) -> None:
    """Replays the stored events into an empty database and compares every transaction, entry, balance and chain.

    Exits 1 when anything differs, and says what first. The live books are only read.

    Example: poolctl ledger rebuild --against-owners
    """
    addresses = running_stack(data_dir)
    refuse(addresses.layout, "Where the ledger runs, its own `ledger rebuild` does it, into an empty database.")
    document = asyncio.run(_rebuild(addresses, against_owners=against_owners, keep=keep))
    if as_json:
        print_json(document)
    else:
        _show(document)
    if not document["ok"]:
        raise typer.Exit(1)


async def _rebuild(addresses: Addresses, *, against_owners: bool, keep: bool) -> Document:
    async with _empty_database(addresses, keep=keep) as (name, environment):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ledger", "rebuild", *(["--against-owners"] if against_owners else [])),
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            # Its progress is ours.
            stderr=None,
        )
        try:
            stdout, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if not stdout:
            raise CommandFailure("The ledger could not be rebuilt; what it said last is above.")
        document: Document = json.loads(stdout)
        return {**document, "database": name if keep else None}


@asynccontextmanager
async def _empty_database(addresses: Addresses, *, keep: bool) -> AsyncIterator[tuple[str, dict[str, str]]]:
    """A database of the ledger's kind, and the environment in which the ledger's command finds it."""
    import asyncpg

    from poolctl.certificate_files import variables
    from poolctl.stack.databases import create_database, migrator_url, runtime_url
    from poolctl.stack.mtls import is_chosen
    from poolctl.stack.postgres import Postgres
    from poolctl.stack.programs import MODE, base_environment

    postgres = Postgres(addresses.layout.postgres, int(urlsplit(addresses.admin_databases["ledger"]).port or 0))
    name = f"ledger_rebuilt_{secrets.token_hex(4)}"
    admin = await asyncpg.connect(postgres.url())
    try:
        await create_database(admin, name, service="ledger")
        try:
            yield (
                name,
                base_environment()
                | {
                    "POOLS_MODE": MODE,
                    "POOLS_DATABASE_URL": addresses.databases["ledger"],
                    "POOLS_REBUILD_DATABASE_URL": runtime_url(postgres, "ledger", name),
                    "POOLS_REBUILD_MIGRATOR_DATABASE_URL": migrator_url(postgres, "ledger", name),
                    **{
                        f"POOLS_{owner.upper().replace('-', '_')}_ADDRESS": addresses.services[owner]
                        for owner in ("trade", "webhook-ingest", "quote")
                    },
                    **(variables(addresses.layout.certificates / "ledger") if is_chosen(addresses.layout) else {}),
                },
            )
        finally:
            if not keep:
                await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    finally:
        await admin.close()


def _show(document: Document) -> None:
    owners = document["owners"]
    compared = ", ".join(f"{count:,} {what}" for what, count in document["compared"].items())
    shown = {
        "verdict": "the books are what the events say" if document["ok"] else "the books differ from the events",
        "events": f"{document['events']:,}, to number {document['throughSequence']:,} of the stored order",
        "compared": compared.replace("chainHeads", "chain heads"),
        "differing": document["differences"],
        "took": f"{document['seconds']:.1f} s",
    }
    if document["database"]:
        shown["database"] = document["database"]
    if owners is not None:
        shown["owners"] = ", ".join(f"{name} {count:,} events" for name, count in owners["compared"].items())
        shown["at odds"] = owners["differences"]
        shown["not yet sent"] = f"{owners['unpublished']:,}"
    show_fields(shown)
    if document["first"]:
        rows = table("differs", "id", "what", "live", "rebuilt", title="First in the stored order")
        for row in document["first"]:
            rows.add_row(row["kind"], row["id"], row["what"], row["live"] or "", row["rebuilt"] or "")
        console().print(rows)
    if owners is not None and owners["first"]:
        rows = table("owner", "event", "what", "topic", title="At odds with the owners")
        for row in owners["first"]:
            rows.add_row(row["owner"], row["eventId"], row["kind"].replace("_", " "), row["topic"])
        console().print(rows)
