"""The PostgreSQL that integration tests share, and the fresh, migrated databases it hands out."""

from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from poolctl.stack.databases import create_database, migrator_url, runtime_url
from poolctl.stack.postgres import Postgres
from poolkit.migrations import upgrade

SERVICES = Path(__file__).parents[2] / "services"


class RunningPostgres:
    """One server for the whole session. A test that needs rows of its own asks for a fresh database."""

    def __init__(self, server: Postgres) -> None:
        self.server = server
        self._templates: dict[str, str] = {}
        self._numbers = count(1)

    @property
    def url(self) -> str:
        """The superuser's, for a test that makes its own tables."""
        return self.server.url()

    async def fresh_database(self, service: str) -> str:
        """The runtime role's address of a database that nobody else uses, at the head of the service's migrations.

        `service` is the import name (`webhook_ingest`). Each service is migrated once a session; a fresh database is
        a copy of that one and takes some 50 ms.
        """
        if service not in self._templates:
            self._templates[service] = await self._make_template(service)
        name = f"{service}_{next(self._numbers)}"
        await self._create(name, service, template=self._templates[service])
        return runtime_url(self.server, service, name)

    async def empty_database(self, service: str) -> str:
        """The runtime role's address of a database of the service's kind without any tables."""
        name = f"{service}_{next(self._numbers)}"
        await self._create(name, service, template="template0")
        return runtime_url(self.server, service, name)

    def migrator_url(self, url: str) -> str:
        """The same database as seen by its owner, who may make tables."""
        parts = urlsplit(url)
        service = str(parts.username).removesuffix("_runtime")
        return migrator_url(self.server, service, parts.path.lstrip("/"))

    def admin_url(self, url: str) -> str:
        """The same database as seen by the superuser, who may look at everything."""
        return self.server.url(urlsplit(url).path.lstrip("/"))

    async def _make_template(self, service: str) -> str:
        name = f"{service}_template"
        await self._create(name, service, template="template0")
        await upgrade(migrator_url(self.server, service, name), SERVICES / service.replace("_", "-") / "migrations")
        return name

    async def _create(self, name: str, service: str, *, template: str) -> None:
        admin = await asyncpg.connect(self.server.url())
        try:
            await create_database(admin, name, service=service, template=template)
        finally:
            await admin.close()
