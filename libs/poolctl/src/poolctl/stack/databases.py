"""Owns which databases and roles the stack's PostgreSQL has, and who may connect to what.

Each service has a database, a migrator role that owns it and a runtime role that may log in and no more; the service's
own migrations grant the runtime role what it uses. Nobody else's role can connect.
Source: ARCHITECTURE §2.
"""

from typing import Any, Protocol

from poolctl.stack.postgres import SUPERUSER, Postgres


class Server(Protocol):
    """A PostgreSQL to be given databases and roles."""

    def url(self) -> str:
        """Its superuser's."""

    def password(self, role: str) -> str:
        """What a new role gets, URL-safe."""


DATABASES = ("gateway", "quote", "trade", "webhook_ingest", "ledger")


def migrator_role(service: str) -> str:
    return f"{service}_migrator"


def runtime_role(service: str) -> str:
    return f"{service}_runtime"


async def ensure_databases(postgres: Server) -> None:
    """Makes what is missing of roles and databases; where nothing is, it costs two queries."""
    import asyncpg

    admin = await asyncpg.connect(postgres.url())
    try:
        await ensure_roles(postgres, admin)
        present = {row["datname"] for row in await admin.fetch("SELECT datname FROM pg_database")}
        for service in DATABASES:
            if service not in present:
                await create_database(admin, service, service=service)
        # The databases that come with PostgreSQL are open to every role; here to the superuser only.
        await admin.execute("REVOKE ALL ON DATABASE postgres FROM PUBLIC; REVOKE ALL ON DATABASE template1 FROM PUBLIC")
    finally:
        await admin.close()


async def ensure_roles(postgres: Server, admin: Any) -> None:
    present = {row["rolname"] for row in await admin.fetch("SELECT rolname FROM pg_roles")}
    for service in DATABASES:
        for role in (migrator_role(service), runtime_role(service)):
            if role not in present:
                # The password is our own URL-safe token, so the literal needs no escaping.
                await admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{postgres.password(role)}'")


async def create_database(admin: Any, name: str, *, service: str, template: str = "template0") -> None:
    """A database of the service's kind: owned by its migrator, open to its two roles and to nobody else."""
    await admin.execute(f'CREATE DATABASE "{name}" OWNER {migrator_role(service)} TEMPLATE "{template}"')
    await admin.execute(
        f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC;'
        f'GRANT CONNECT ON DATABASE "{name}" TO {migrator_role(service)}, {runtime_role(service)}'
    )


def runtime_url(postgres: Postgres, service: str, database: str | None = None) -> str:
    return postgres.url(database or service, runtime_role(service))


def migrator_url(postgres: Postgres, service: str, database: str | None = None) -> str:
    return postgres.url(database or service, migrator_role(service))


def admin_url(postgres: Postgres, database: str) -> str:
    return postgres.url(database, SUPERUSER)
