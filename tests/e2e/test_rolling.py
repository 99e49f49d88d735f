"""Every replica of every service is replaced under load, and nobody who calls can tell: no failure, no lost record."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator

import pytest

from poolctl.stack.programs import SERVICES
from pools.gateway.v1 import partner_pb2
from tests.e2e.rolling import proxy
from tests.e2e.rolling.calling import AT_ONCE, calling
from tests.e2e.rolling.fleet import Fleet, replicas_of
from tests.waiting import eventually

REPLICAS = [replica for service in SERVICES for replica in replicas_of(service.name)]


@pytest.fixture(scope="module")
async def fleet(tmp_path_factory: pytest.TempPathFactory, mtls: bool) -> AsyncIterator[Fleet]:
    """Two replicas of each service behind round robin, and behind a proxy."""
    if proxy.find_haproxy() is None:
        pytest.skip(proxy.MISSING)
    directory = tmp_path_factory.mktemp("rolling")
    fleet = Fleet(directory, mtls=mtls)
    try:
        await fleet.start()
        yield fleet
    finally:
        await fleet.stop()
        shutil.rmtree(directory)


@pytest.mark.long
async def test_every_replica_is_replaced_under_load_and_no_call_fails(fleet: Fleet) -> None:
    async with calling(fleet) as patrons:
        for replica in REPLICAS:
            await fleet.replace(replica)
            assert patrons.noted.failures == [], f"while {replica} was replaced"
        assert patrons.noted.unanswered == 0
    # Every operation of partners, and the provider's.
    operations = partner_pb2.DESCRIPTOR.services_by_name["PartnerService"].methods
    assert len(patrons.noted.calls) == len(operations) + 1


@pytest.mark.long
@pytest.mark.parametrize("part", ["kafka", "postgres"])
async def test_what_all_stand_on_restarts_meanwhile_and_nothing_is_lost_nor_fails_but_with_503(
    fleet: Fleet, part: str
) -> None:
    async with calling(fleet) as patrons:
        patrons.patience = True
        replaced = 0

        async def replace_all() -> None:
            nonlocal replaced
            for replica in REPLICAS:
                await fleet.replace(replica)
                replaced += 1

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(replace_all())
            for already in (1, 5):
                await eventually(lambda already=already: replaced >= already, f"{already} are replaced", seconds=120)
                await fleet.stack.stop_part(part)
                await fleet.stack.start_part(part)
        # Nobody had to do anything; from here on it is as if nothing had been.
        patrons.patience = False
        seen = patrons.noted.orders
        await eventually(lambda: patrons.noted.orders >= seen + 8 * AT_ONCE, "orders are made again", seconds=60)
        assert patrons.noted.unanswered or part == "kafka"
