"""Protects unknown pay-ins: they wait in the open, with candidates, and a person's word takes effect once."""

import asyncio
import hashlib
from typing import Any

import pytest

from poolkit.errors import InvalidRequest, NotFound, PayinAllocated
from poolkit.ids import new_id
from poolkit.rpc.channels import open_channel
from pools.events.v1 import events_pb2
from pools.types.v1 import journey_pb2
from pools.webhook_ingest.v1 import payins_pb2
from pools_contracts.webhook_ingest import WebhookIngestClient
from tests.integration import plans
from tests.integration.webhook_ingest.conftest import OpenDoor
from tests.integration.webhook_ingest.door import BANK, Door, credited
from tests.integration.webhook_ingest.ledger_desk import LedgerDesk
from webhook_ingest.store import unallocated


def request(payin_id: str, organization_id: str, **changed: str) -> payins_pb2.AllocatePayinRequest:
    said = {"allocated_by": "Ada", "allocation_reason": "the payer called"} | changed
    return payins_pb2.AllocatePayinRequest(payin_id=payin_id, organization_id=organization_id, **said)


def client(door: Door) -> WebhookIngestClient:
    """One that raises reasons."""
    return WebhookIngestClient(open_channel(f"127.0.0.1:{door.runtime.rpc.port}", "tests"))


async def paid(door: Door, **changed: Any) -> dict[str, Any]:
    """A processed pay-in, with the ids that lead to it."""
    payin = credited(**changed)
    answer = await door.post(payin, source=BANK)
    assert answer.status == 200, answer
    await door.until_processed(answer.body["webhookId"])
    event = hashlib.sha256(f"{BANK}:{payin['bankTransactionId']}:payin.credited".encode()).hexdigest()
    return payin | {"webhookId": answer.body["webhookId"], "payinEventId": event}


async def told(door: Door, payin: dict[str, Any]) -> list[events_pb2.PayinAllocated]:
    sql = "SELECT payload FROM outbox WHERE topic = 'pools.payin.allocated.v1' ORDER BY sequence"
    events = [events_pb2.PayinAllocated.FromString(row["payload"]) for row in await door.rows(sql)]
    return [event for event in events if event.payin_event_id == payin["payinEventId"]]


async def waiting(door: Door, payin: dict[str, Any]) -> payins_pb2.UnallocatedPayin | None:
    async with client(door) as opened:
        token = ""
        while True:
            page = await opened.payins.ListUnallocatedPayins(
                payins_pb2.ListUnallocatedPayinsRequest(page_size=2, page_token=token)
            )
            for each in page.payins:
                if each.payin_event_id == payin["payinEventId"]:
                    return each
            token = page.next_page_token
            if not token:
                return None


@pytest.mark.parametrize("name", ["payinEventId", "webhookId", "eventId", "bankTransactionId"])
async def test_an_allocation_by_any_id_is_told_once_and_ends_the_waiting(door: Door, name: str) -> None:
    payin = await paid(door, amount="70.50")
    assert await waiting(door, payin)
    organization = new_id("org")
    async with client(door) as opened:
        first = await opened.payins.AllocatePayin(request(payin[name], organization))
        again = await opened.payins.AllocatePayin(request(payin[name], organization, allocated_by="Grace"))
        with pytest.raises(PayinAllocated):
            await opened.payins.AllocatePayin(request(payin[name], new_id("org")))
    assert (first.amount.amount, first.payin_event_id) == ("70.50", payin["payinEventId"])
    assert not first.repeated_allocation
    assert again.repeated_allocation
    assert (again.event_id, again.allocate_time) == (first.event_id, first.allocate_time)
    [event] = await told(door, payin)
    assert event.header.event_id == first.event_id
    assert event.header.organization_id == organization
    assert event.header.occur_time == first.allocate_time
    assert event.header.business_date == first.allocate_time.ToDatetime().date().isoformat()
    assert (event.amount.amount, event.allocated_by, event.allocation_reason) == ("70.50", "Ada", "the payer called")
    assert await waiting(door, payin) is None
    found = await door.client.journey.FindRecords(journey_pb2.FindRecordsRequest(ids=[first.event_id]))
    assert {record.record_id for record in found.records} >= {payin["webhookId"], first.event_id}
    waited, said = [record for record in found.records if record.kind == "allocation"]
    assert (waited.entered_state, said.entered_state) == ("waiting", "allocated")
    assert said.summary == f"Ada allocated it to {organization}: the payer called"
    assert not any(record.awaited.what for record in found.records if record.kind == "allocation")
    assert all(len(record.traceparent) == 55 for record in found.records)


async def test_of_many_people_at_once_one_is_heard(door: Door) -> None:
    payin = await paid(door)
    organizations = [new_id("org") for _ in range(10)]
    async with client(door) as opened:
        answers = await asyncio.gather(
            *(opened.payins.AllocatePayin(request(payin["payinEventId"], one)) for one in organizations),
            return_exceptions=True,
        )
    assert sum(isinstance(answer, PayinAllocated) for answer in answers) == 9
    assert len(await told(door, payin)) == 1


async def test_what_belongs_to_somebody_or_to_nobody_at_all_is_not_allocated(door: Door, ledger: LedgerDesk) -> None:
    owner, reference = await ledger.reference()
    known = await paid(door, fundingReference=reference)
    lost = await paid(door)
    async with client(door) as opened:
        for organization in (owner, new_id("org")):
            with pytest.raises(PayinAllocated, match="known when it came"):
                await opened.payins.AllocatePayin(request(known["payinEventId"], organization))
        with pytest.raises(NotFound):
            await opened.payins.AllocatePayin(request("whe_nobody", owner))
        for wrong in (
            request(lost["payinEventId"], "unallocated"),
            request(lost["payinEventId"], "treasury"),
            request(lost["payinEventId"], owner, allocated_by=" "),
            request(lost["payinEventId"], owner, allocation_reason="x" * 501),
            request("nul\x00", owner),
        ):
            with pytest.raises(InvalidRequest):
                await opened.payins.AllocatePayin(wrong)
        await door.add_source("another-bank", ["payin.credited"])
        twin = {name: lost[name] for name in credited()}
        answer = await door.post(twin, source="another-bank")
        await door.until_processed(answer.body["webhookId"])
        with pytest.raises(InvalidRequest, match="several sources"):
            await opened.payins.AllocatePayin(request(lost["bankTransactionId"], owner))
    assert await told(door, lost) == []


async def test_candidates_are_whose_reference_is_one_mistake_away_and_who_paid_as_much_before(
    door: Door, ledger: LedgerDesk
) -> None:
    owner, reference = await ledger.reference()
    payer, its_own = await ledger.reference()
    earlier = await paid(door, fundingReference=its_own, amount="4321.09")
    wrong = reference[:5] + ("7" if reference[5] != "7" else "8") + reference[6:]
    for typed in (wrong, reference[:6] + reference[7:], f"rent for may {reference} thanks"):
        payin = await paid(door, fundingReference=typed, amount="4321.09")
        found = await waiting(door, payin)
        assert found is not None
        assert [(each.organization_id, each.ground, each.evidence) for each in found.candidates] == [
            (owner, payins_pb2.CANDIDATE_GROUND_REFERENCE, reference),
            (payer, payins_pb2.CANDIDATE_GROUND_AMOUNT, earlier["payinEventId"]),
        ]
    other = await waiting(door, await paid(door, fundingReference="no idea", amount="4321.08"))
    assert other is not None
    assert not other.candidates


async def test_what_waits_is_shown_while_the_ledger_is_silent(open_another: OpenDoor) -> None:
    door = await open_another()
    payin = await paid(door, fundingReference="")
    async with client(door) as opened:
        page = await opened.payins.ListUnallocatedPayins(payins_pb2.ListUnallocatedPayinsRequest())
    assert [each.payin_event_id for each in page.payins] == [payin["payinEventId"]]
    assert not page.references_asked


async def test_nobody_who_looks_at_what_waits_reads_all_webhooks(door: Door) -> None:
    for statement in (unallocated.OPEN, unallocated.LOCK, unallocated.EVENTS_OF, unallocated.SAME_AMOUNT):
        nodes = await plans.plan_nodes(door.runtime.database, statement)
        assert "Seq Scan" not in plans.kinds(nodes), statement
