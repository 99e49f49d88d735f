"""One running stack for all end-to-end tests, partners on it, and ways to look at it from outside."""

import asyncio
import shutil
from collections.abc import AsyncIterator

import pytest

from poolctl.receiver import WebhookReceiver
from poolctl.session import Addresses, Session
from poolctl.stack import Stack
from poolctl.stack.programs import PROGRAMS
from tests.e2e.commands import Poolctl
from tests.e2e.databases import Databases
from tests.e2e.logs import leaks, lines_of, nameless
from tests.e2e.partners import Partner, PartnerFactory

# Every test's requests are recorded, whatever the tests beside it ask for.
ENVIRONMENT = {program.name: {"POOLS_TRACE_SAMPLES_PER_SECOND_MAX": "1000"} for program in PROGRAMS}


@pytest.fixture(scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory, mtls: bool) -> AsyncIterator[Stack]:
    """The five services, their database, broker and sandbox, in processes of their own."""
    directory = tmp_path_factory.mktemp("stack")
    running = Stack(directory, environment=ENVIRONMENT, mtls=mtls)
    await running.start()
    addresses = running.addresses
    try:
        yield running
        await running.stop()
        # Whatever the tests of this run did.
        lines = await asyncio.to_thread(lines_of, directory)
        assert leaks(lines, running.layout, addresses) == []
        assert nameless(lines) == []
    finally:
        await running.stop()
        shutil.rmtree(directory)


@pytest.fixture(scope="session")
def addresses(stack: Stack) -> Addresses:
    """Where its parts listen."""
    return Addresses.of(stack.addresses)


@pytest.fixture(scope="session")
async def session(addresses: Addresses) -> AsyncIterator[Session]:
    """Clients of its internal ports."""
    async with Session(addresses) as opened:
        yield opened


@pytest.fixture(scope="session")
async def receiver() -> AsyncIterator[WebhookReceiver]:
    """Takes the webhooks of every partner, verified with the `standardwebhooks` library."""
    async with WebhookReceiver() as listening:
        yield listening


@pytest.fixture(scope="session")
async def partners(session: Session, receiver: WebhookReceiver) -> AsyncIterator[PartnerFactory]:
    """Makes partners."""
    factory = PartnerFactory(session, receiver)
    yield factory
    await factory.close()


@pytest.fixture
async def partner(partners: PartnerFactory) -> Partner:
    """A partner nobody else uses, with 1,000.00 EUR."""
    return await partners()


@pytest.fixture(scope="session")
async def databases(addresses: Addresses) -> AsyncIterator[Databases]:
    """The services' databases."""
    reader = Databases(addresses)
    yield reader
    await reader.close()


@pytest.fixture(scope="session")
def poolctl(addresses: Addresses) -> Poolctl:
    """Runs the command line against the stack."""
    return Poolctl(addresses.data_dir)
