"""A PostgreSQL that others started gets the services' databases and roles, and keeps those it has."""

import asyncpg
import pytest

from poolctl.stack import databases
from poolctl.stack.prepare_databases import DatabasesSettings, prepare
from tests.integration.databases import RunningPostgres


async def test_what_is_missing_is_made_with_the_password_and_a_repeat_changes_nothing(
    postgres: RunningPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "DATABASES", ("prepared",))
    told = {"admin_database_url": postgres.url, "role_password": "first-password"}
    await prepare(DatabasesSettings.model_validate(told))
    await prepare(DatabasesSettings.model_validate(told | {"role_password": "second-password"}))
    place = postgres.url.rpartition("@")[2].partition("/")[0]
    for role in ("prepared_runtime", "prepared_migrator"):
        connection = await asyncpg.connect(f"postgresql://{role}:first-password@{place}/prepared")
        owner = await connection.fetchval("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'prepared'")
        await connection.close()
        assert owner == "prepared_migrator"


def test_a_password_that_would_have_to_be_escaped_is_refused() -> None:
    told = {"admin_database_url": "postgresql://a:b@c/d", "role_password": "it's"}
    with pytest.raises(ValueError, match="characters that a URL would have to escape"):
        DatabasesSettings.model_validate(told)
