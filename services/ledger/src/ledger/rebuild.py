"""Owns the command `rebuild`: what it is told, what it is wired of, and what it answers.

Operations run it anywhere, without a stack. Source: contract sections 8 and 12.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import Field

from ledger.api.decode import decoder
from ledger.app.account_directory import AccountDirectory
from ledger.app.apply_events import ApplyEvents
from ledger.app.compare_books import Difference, Findings, compare_books
from ledger.app.compare_owners import Agreement, compare_owners
from ledger.app.replay import Refused, replay
from ledger.outbound.owners import TOPICS, OwnerClient
from ledger.settings import LedgerSettings
from ledger.store.whole_books import Cut, count_events, has_settled, is_empty, read_cut
from poolkit.database import Database
from poolkit.errors import DomainError, Unavailable
from poolkit.logs import configure_logging
from poolkit.rpc.certificates import Certificates, CertificatesUnusable
from poolkit.rpc.channels import open_channel
from poolkit.settings import DatabaseUrl, MigratorSettings, load

STATEMENT_TIMEOUT_MS: Final = 3_600_000
SETTLE_SECONDS_MAX: Final = 60.0
_TELL_SECONDS: Final = 1.0


class RebuildSettings(LedgerSettings):
    """The service's own settings, so that its environment can be used as it is, and where to rebuild."""

    rebuild_database_url: DatabaseUrl = Field(
        description="the postgresql:// URL of the runtime role in an empty database, where the books are rebuilt"
    )
    rebuild_migrator_database_url: DatabaseUrl | None = Field(
        default=None, description="the migrator's URL of the same database; unset when it is migrated already"
    )


class Refusal(Exception):
    """Why nothing was begun, and what to do."""


def rebuild(migrations: Path, arguments: Sequence[str]) -> None:
    """`python -m ledger rebuild`: one JSON document on stdout, progress on stderr; exit 1 when the books differ."""
    against_owners = _parser().parse_args(arguments).against_owners
    settings = load(RebuildSettings, besides=MigratorSettings)
    configure_logging("ledger", "warning", settings.log_format)
    try:
        if settings.rebuild_migrator_database_url is not None:
            # Imported here: nothing else pays for Alembic. It runs an event loop of its own.
            from poolkit.migrations import migrate

            role = urlsplit(settings.rebuild_database_url.get_secret_value()).username or ""
            migrate(settings.rebuild_migrator_database_url.get_secret_value(), migrations, role=role)
        document = asyncio.run(_rebuild(settings, against_owners=against_owners))
    except (Refusal, CertificatesUnusable, DomainError, OSError) as error:
        print(f"ledger rebuild: {error}", file=sys.stderr)
        sys.exit(1)
    print(json.dumps(document, indent=2, ensure_ascii=False))
    sys.exit(0 if document["ok"] else 1)


async def _rebuild(settings: RebuildSettings, *, against_owners: bool) -> dict[str, Any]:
    started = time.monotonic()
    async with AsyncExitStack() as stack:
        owners = _owners(settings, stack) if against_owners else None
        live = await _open(stack, settings.database_url, default_transaction_read_only="on")
        # Whatever is lost in a crash is rebuilt by running it again.
        rebuilt = await _open(stack, settings.rebuild_database_url, synchronous_commit="off")
        if not await is_empty(rebuilt):
            raise Refusal("The database to rebuild in holds events already; give it an empty one.")
        cut = await _settled_cut(live)
        total = await count_events(live, cut)
        decode = decoder(settings.mode)
        findings = Findings()
        events = await replay(
            live,
            ApplyEvents(rebuilt, AccountDirectory(rebuilt), decode),
            decode,
            refuse=lambda refused: findings.add(_refusal(refused)),
            through_sequence=cut.sequence,
            told=_teller("events replayed", total),
        )
        await compare_books(live, rebuilt, cut, findings, _teller("transactions compared"))
        agreement = None
        if owners is not None:
            agreement = await compare_owners(live, owners, _teller("events compared with their owners"))
    return {
        "ok": findings.ok and (agreement is None or agreement.ok),
        "throughSequence": cut.sequence,
        "events": events,
        "compared": dict(findings.compared),
        "differences": dict(findings.differing),
        "first": [_difference(difference) for difference in findings.first],
        "owners": None if agreement is None else _owners_document(agreement),
        "seconds": round(time.monotonic() - started, 3),
    }


async def _settled_cut(live: Database) -> Cut:
    """The end of the stored order, once all that began before it has ended."""
    cut = await read_cut(live)
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    while not await has_settled(live, cut):
        if time.monotonic() > deadline:
            raise Unavailable("A transaction on the ledger's server has been running for a minute; end it first.")
        await asyncio.sleep(0.05)
    return cut


async def _open(stack: AsyncExitStack, url: DatabaseUrl, **server_settings: str) -> Database:
    database = Database(
        url.get_secret_value(),
        application_name="ledger rebuild",
        pool_size=4,
        statement_timeout_ms=STATEMENT_TIMEOUT_MS,
        # One side may wait for the first page of the other.
        idle_in_transaction_timeout_ms=STATEMENT_TIMEOUT_MS,
        server_settings=server_settings,
    )
    stack.push_async_callback(database.close)
    await database.connect()
    return database


def _owners(settings: RebuildSettings, stack: AsyncExitStack) -> list[OwnerClient]:
    addresses = {
        "trade": settings.trade_address,
        "webhook-ingest": settings.webhook_ingest_address,
        "quote": settings.quote_address,
    }
    missing = [f"POOLS_{name.replace('-', '_').upper()}_ADDRESS" for name, address in addresses.items() if not address]
    if missing:
        raise Refusal(f"To compare with the owners, say where they are: set {', '.join(missing)}.")
    clients, certificates = [], Certificates.of(settings)
    for name in TOPICS:
        channel = open_channel(str(addresses[name]), "ledger", callee=name, certificates=certificates)
        stack.push_async_callback(channel.close)
        clients.append(OwnerClient(name, channel))
    return clients


def _teller(what: str, total: int = 0) -> Callable[[int], None]:
    """Says on stderr how far it is, once a second at most, and when all is done."""
    told_at = 0.0

    def tell(done: int) -> None:
        nonlocal told_at
        if time.monotonic() - told_at >= _TELL_SECONDS or done == total:
            told_at = time.monotonic()
            print(f"{done:,} of {total:,} {what}" if total else f"{done:,} {what}", file=sys.stderr, flush=True)

    return tell


def _refusal(refused: Refused) -> Difference:
    why = f"can no longer be applied: {refused.why}"
    return Difference(refused.sequence, "event", refused.event_id, why, "applied", "")


def _difference(difference: Difference) -> dict[str, str | None]:
    return {
        "kind": difference.kind,
        "id": difference.id,
        "what": difference.what,
        "live": difference.live or None,
        "rebuilt": difference.rebuilt or None,
    }


def _owners_document(agreement: Agreement) -> dict[str, Any]:
    return {
        "ok": agreement.ok,
        "compared": agreement.compared,
        "unpublished": agreement.unpublished,
        "differences": agreement.disagreeing,
        "first": [
            {
                "owner": found.owner,
                "kind": found.kind,
                "topic": found.topic,
                "eventId": found.event_id,
                "ledgerSha256": found.ledger_hash or None,
                "ownerSha256": found.owner_hash or None,
            }
            for found in agreement.first
        ],
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ledger rebuild",
        description="Replays the stored events into an empty database and compares every transaction, entry, balance "
        "and chain head with the live books. The environment says where: POOLS_DATABASE_URL (only read), "
        "POOLS_REBUILD_DATABASE_URL, POOLS_REBUILD_MIGRATOR_DATABASE_URL; with --against-owners also "
        "POOLS_TRADE_ADDRESS, POOLS_WEBHOOK_INGEST_ADDRESS, POOLS_QUOTE_ADDRESS. Exit 1 when something differs.",
    )
    parser.add_argument(
        "--against-owners", action="store_true", help="also compare the stored events with their owners' outboxes"
    )
    return parser
