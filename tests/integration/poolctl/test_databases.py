"""Who may connect to what: each service's role to its own database, and to nobody else's."""

from itertools import permutations

import asyncpg
import pytest

from poolctl.stack.databases import DATABASES, migrator_role, runtime_role
from tests.integration.databases import RunningPostgres


@pytest.mark.parametrize("service", DATABASES)
async def test_runtime_role_connects_to_its_own_database_and_cannot_make_tables(
    postgres: RunningPostgres, service: str
) -> None:
    connection = await asyncpg.connect(postgres.server.url(service, runtime_role(service)))
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("CREATE TABLE loot (id bigint)")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("CREATE TEMP TABLE loot (id bigint)")
    finally:
        await connection.close()


@pytest.mark.parametrize(("service", "database"), list(permutations(DATABASES, 2)))
async def test_role_of_one_service_cannot_connect_to_the_database_of_another(
    postgres: RunningPostgres, service: str, database: str
) -> None:
    for role in (runtime_role(service), migrator_role(service)):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied for database"):
            await asyncpg.connect(postgres.server.url(database, role))


@pytest.mark.parametrize("database", ["postgres", "template1"])
async def test_databases_that_come_with_postgresql_are_closed_to_services(
    postgres: RunningPostgres, database: str
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(postgres.server.url(database, runtime_role("quote")))


async def test_role_without_its_password_is_refused(postgres: RunningPostgres) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(f"postgresql://{runtime_role('quote')}:guess@127.0.0.1:{postgres.server.port}/quote")


async def test_fresh_database_is_as_closed_as_the_service_s_own(postgres: RunningPostgres) -> None:
    url = await postgres.fresh_database("trade")
    connection = await asyncpg.connect(url)
    await connection.close()
    name = url.rpartition("/")[2]
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(postgres.server.url(name, runtime_role("ledger")))
