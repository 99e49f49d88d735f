"""Owns the tables `sources` and `source_secrets`; secrets come and go encrypted."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from poolkit.database import Database, Record, Unit
from webhook_ingest.domain.events import Kind
from webhook_ingest.domain.sources import NewSource, Scheme, Source

CHANNEL: Final = "sources"
"""Notified when a source or its secrets change."""

_IN_FORCE: Final = "(secret.expires_at IS NULL OR secret.expires_at > now())"

_INSERT: Final = """
INSERT INTO sources (name, kinds, scheme, signature_header, request_id, traceparent)
VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING RETURNING name
"""
_ADD_SECRET: Final = "INSERT INTO source_secrets (source, encrypted, request_id, traceparent) VALUES ($1, $2, $3, $4)"  # noqa: S105
# In a statement before the update, so that the update sees what a rotation that was faster has written.
_LOCK_SECRETS: Final = "SELECT secret_id FROM source_secrets WHERE source = $1 ORDER BY secret_id FOR UPDATE"
_END_SECRETS: Final = f"""
UPDATE source_secrets AS secret SET expires_at = least(expires_at, now() + make_interval(secs => $2))
WHERE source = $1 AND {_IN_FORCE}
"""  # noqa: S608 - constants only
_SELECT: Final = f"""
SELECT name, kinds, scheme, signature_header, created_at,
       (SELECT count(*) FROM source_secrets secret WHERE secret.source = name AND {_IN_FORCE}) AS active
FROM sources
"""  # noqa: S608 - constants only
_LIST: Final = f"{_SELECT} WHERE name > $1 ORDER BY name LIMIT $2"
_ONE: Final = f"{_SELECT} WHERE name = $1"
_ALL_WITH_SECRETS: Final = f"""
SELECT name, kinds, scheme, signature_header,
       array(SELECT encrypted FROM source_secrets secret WHERE secret.source = name AND {_IN_FORCE}
             ORDER BY secret_id DESC) AS encrypted
FROM sources
"""  # noqa: S608 - constants only
_NOTIFY: Final = f"SELECT pg_notify('{CHANNEL}', '')"


class KnownSource(NamedTuple):
    """A source as the door needs it, its secrets in force still encrypted, the newest first."""

    name: str
    kinds: frozenset[Kind]
    scheme: Scheme
    signature_header: str
    encrypted: tuple[bytes, ...]


class Origin(NamedTuple):
    """The operation that writes a row."""

    request_id: str
    traceparent: str


async def insert(unit: Unit, source: NewSource, origin: Origin) -> bool:
    """Makes the source; False when the name is in use."""
    kinds = [str(kind) for kind in source.kinds]
    made = await unit.fetch_value(_INSERT, source.name, kinds, source.scheme, source.signature_header, *origin)
    return made is not None


async def add_secret(unit: Unit, name: str, encrypted: bytes, origin: Origin) -> None:
    """One more secret in force; whoever holds the sources in memory is told at the commit."""
    await unit.execute(_ADD_SECRET, name, encrypted, *origin)
    await unit.fetch(_NOTIFY)


async def end_secrets(unit: Unit, name: str, overlap_seconds: int) -> None:
    """Lets every secret in force end after the overlap, or earlier where it already would."""
    await unit.fetch(_LOCK_SECRETS, name)
    await unit.execute(_END_SECRETS, name, overlap_seconds)


async def find(connection: Database | Unit, name: str) -> Source | None:
    """The source of this name."""
    row = await connection.fetch_row(_ONE, name)
    return _source(row) if row else None


async def list_page(database: Database, *, after: str, limit: int) -> Sequence[Source]:
    """Sources by name, those behind `after`."""
    return [_source(row) for row in await database.fetch(_LIST, after, limit)]


async def load_all(database: Database) -> list[KnownSource]:
    """Every source with its secrets in force now, by the database's clock."""
    return [
        KnownSource(
            row["name"],
            frozenset(Kind(kind) for kind in row["kinds"]),
            Scheme(row["scheme"]),
            row["signature_header"],
            tuple(row["encrypted"]),
        )
        for row in await database.fetch(_ALL_WITH_SECRETS)
    ]


def _source(row: Record) -> Source:
    return Source(
        name=row["name"],
        kinds=tuple(Kind(kind) for kind in row["kinds"]),
        scheme=Scheme(row["scheme"]),
        signature_header=row["signature_header"],
        created_at=row["created_at"],
        active_secret_count=row["active"],
    )
