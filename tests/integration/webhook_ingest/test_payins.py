"""Protects pay-ins: told once for good, to whom the reference belongs, or kept for a person to allocate."""

import asyncio
import hashlib
from typing import Any

import pytest

from poolctl.stack.kafka import Kafka
from poolctl.stack.ports import free_port
from poolkit.database import Record
from poolkit.kafka import ensure_topics
from pools.events.v1 import events_pb2
from pools.types.v1 import journey_pb2
from pools.webhook_ingest.v1 import webhook_ingest_pb2
from tests.integration.databases import RunningPostgres
from tests.integration.webhook_ingest.conftest import OpenDoor
from tests.integration.webhook_ingest.door import BANK, Answer, Door, credited
from tests.integration.webhook_ingest.ledger_desk import LedgerDesk, close_ledger_desk, open_ledger_desk
from tests.waiting import eventually

RECEIVED = webhook_ingest_pb2.WEBHOOK_STATE_RECEIVED
PROCESSED = webhook_ingest_pb2.WEBHOOK_STATE_PROCESSED


def event_id(payin: dict[str, Any]) -> str:
    return hashlib.sha256(f"{BANK}:{payin['bankTransactionId']}:payin.credited".encode()).hexdigest()


async def told(door: Door, payin: dict[str, Any]) -> list[Record]:
    """What the outbox has of this pay-in."""
    return await door.rows("SELECT * FROM outbox WHERE event_id = $1", event_id(payin))


async def until_processed(door: Door, answer: Answer) -> None:
    assert answer.status == 200, answer
    await door.until_state(answer.body["webhookId"], PROCESSED)


async def test_a_payin_is_told_to_whom_its_reference_belongs(door: Door, ledger: LedgerDesk) -> None:
    organization_id, reference = await ledger.reference()
    payin = credited(fundingReference=reference)
    answer = await door.post(payin, source=BANK, X_Request_Id="req-of-the-bank")
    await until_processed(door, answer)
    (row,) = await told(door, payin)
    (stored,) = await door.stored(payin["eventId"])
    assert (row["topic"], row["key"], row["type"]) == ("pools.payin.credited.v1", organization_id, "payin.credited")
    assert row["request_id"] == "req-of-the-bank"
    # The business date is the UTC date of the receipt, whenever it was processed.
    assert row["business_date"] == stored["received_at"].date()
    event = events_pb2.PayinCredited.FromString(row["payload"])
    assert event.header.event_id == event_id(payin)
    assert event.header.organization_id == organization_id
    assert event.header.business_date == stored["received_at"].date().isoformat()
    assert event.header.occur_time.ToDatetime() == stored["received_at"].replace(tzinfo=None)
    assert (event.source, event.bank_transaction_id) == (BANK, payin["bankTransactionId"])
    assert (event.amount.amount, event.amount.currency) == ("1000.00", "EUR")
    assert (event.funding_reference, event.webhook_id) == (reference, answer.body["webhookId"])


@pytest.mark.parametrize("reference", ["NOBODY", "", "rent for november, thank you"])
async def test_a_payin_that_nobody_can_be_told_of_is_unallocated(door: Door, reference: str) -> None:
    payin = credited(fundingReference=reference)
    await until_processed(door, await door.post(payin, source=BANK))
    (row,) = await told(door, payin)
    assert row["key"] == "unallocated"
    event = events_pb2.PayinCredited.FromString(row["payload"])
    assert (event.header.organization_id, event.funding_reference) == ("unallocated", reference)


async def test_a_reference_is_understood_as_payers_write_it(door: Door, ledger: LedgerDesk) -> None:
    organization_id, reference = await ledger.reference()
    payin = credited(fundingReference=f" {reference[:3].lower()} {reference[3:]} ")
    await until_processed(door, await door.post(payin, source=BANK))
    assert [row["key"] for row in await told(door, payin)] == [organization_id]


async def test_the_same_payin_under_another_event_id_is_a_duplicate_without_a_second_event(
    door: Door, ledger: LedgerDesk
) -> None:
    _, reference = await ledger.reference()
    payin = credited(fundingReference=reference)
    first = await door.post(payin, source=BANK)
    await until_processed(door, first)
    for _ in range(2):
        again = await door.post(payin | {"eventId": f"{payin['eventId']}-again"}, source=BANK)
        assert again.body == {"received": True, "webhookId": first.body["webhookId"], "duplicate": True}
    (kept,) = await door.stored(f"{payin['eventId']}-again")
    assert kept["first_webhook_id"] == first.body["webhookId"]
    assert (await door.webhook(kept["webhook_id"])).state == PROCESSED
    assert len(await told(door, payin)) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"amount": "1000.01"},
        {"currency": "GBP"},
        {"fundingReference": "SOMEBODY-ELSE"},
        {"occurredAt": "2026-11-22T10:00:01Z"},
    ],
)
async def test_a_bank_transaction_reported_with_other_fields_is_a_conflict(door: Door, other: dict[str, str]) -> None:
    payin = credited()
    await until_processed(door, await door.post(payin, source=BANK))
    contradicting = payin | other | {"eventId": f"{payin['eventId']}-other"}
    for _ in range(2):
        answer = await door.post(contradicting, source=BANK)
        assert (answer.status, answer.code) == (409, "payin_conflict")
    (kept,) = await door.stored(contradicting["eventId"])
    assert kept["refusal_reason"] == "payin_conflict"
    assert (await door.webhook(kept["webhook_id"])).state == webhook_ingest_pb2.WEBHOOK_STATE_CONFLICT
    assert len(await told(door, payin)) == 1
    # The event id was not occupied by the conflict: about another bank transaction it is free.
    fresh = await door.post(contradicting | {"bankTransactionId": f"{payin['bankTransactionId']}-2"}, source=BANK)
    assert (fresh.status, fresh.body["duplicate"]) == (200, False)


async def test_twenty_reports_of_one_payin_at_once_under_as_many_event_ids_are_one(
    door: Door, ledger: LedgerDesk
) -> None:
    _, reference = await ledger.reference()
    payin = credited(fundingReference=reference)
    answers = await asyncio.gather(
        *(door.post(payin | {"eventId": f"{payin['eventId']}-{number}"}, source=BANK) for number in range(20))
    )
    assert {answer.status for answer in answers} == {200}
    assert [answer.body["duplicate"] for answer in answers].count(False) == 1
    assert len({answer.body["webhookId"] for answer in answers}) == 1
    await until_processed(door, answers[0])
    assert len(await told(door, payin)) == 1


async def test_another_bank_may_use_the_same_transaction_id(door: Door) -> None:
    await door.add_source("other-bank", ["payin.credited"])
    payin = credited()
    answers = [await door.post(payin, source=source) for source in (BANK, "other-bank")]
    assert [answer.body["duplicate"] for answer in answers] == [False, False]
    assert answers[0].body["webhookId"] != answers[1].body["webhookId"]


async def test_while_the_ledger_is_silent_nobody_s_payin_becomes_unallocated(
    postgres: RunningPostgres, open_another: OpenDoor
) -> None:
    address, url = f"127.0.0.1:{free_port()}", await postgres.fresh_database("ledger")
    ledger = await open_ledger_desk(url)
    organization_id, reference = await ledger.reference()
    await close_ledger_desk(ledger)
    door = await open_another(ledger_address=address, refusals_max=1)
    payin = credited(fundingReference=reference)
    answer = await door.post(payin, source=BANK)
    assert answer.status == 200

    async def tried_in_vain() -> bool:
        webhook = await door.webhook(answer.body["webhookId"])
        return len(webhook.attempts) >= 3 and webhook.state == RECEIVED

    await eventually(tried_in_vain, "tried in vain")
    assert await told(door, payin) == []
    ledger = await open_ledger_desk(url, listen=address)
    try:
        await until_processed(door, answer)
        assert [row["key"] for row in await told(door, payin)] == [organization_id]
    finally:
        await close_ledger_desk(ledger)


async def test_the_silence_of_the_ledger_does_not_hold_up_a_payin_without_a_reference(open_another: OpenDoor) -> None:
    door = await open_another()
    payin = credited(fundingReference="")
    await until_processed(door, await door.post(payin, source=BANK))
    assert [row["key"] for row in await told(door, payin)] == ["unallocated"]


async def test_the_journey_of_a_payin_is_found_by_each_of_its_ids(door: Door) -> None:
    payin = credited()
    answer = await door.post(payin, source=BANK)
    await until_processed(door, answer)
    for wanted in (payin["eventId"], payin["bankTransactionId"], event_id(payin), answer.body["webhookId"]):
        found = await door.client.journey.FindRecords(journey_pb2.FindRecordsRequest(ids=[wanted]))
        assert sorted(record.kind for record in found.records) == ["allocation", "attempt", "event", "webhook_in"]
        [waits] = [record for record in found.records if record.kind == "allocation"]
        assert (waits.entered_state, waits.awaited.what) == ("waiting", "a person to say whose the pay-in is")
        assert {record.ids.get("webhook") for record in found.records} == {answer.body["webhookId"]}


async def test_a_payin_reaches_the_partner_s_balance_over_the_real_broker(
    postgres: RunningPostgres, kafka: Kafka, open_another: OpenDoor
) -> None:
    await ensure_topics(kafka.bootstrap, "test")
    ledger = await open_ledger_desk(await postgres.fresh_database("ledger"), bootstrap=kafka.bootstrap)
    try:
        door = await open_another(ledger_address=ledger.address, kafka_bootstrap=kafka.bootstrap)
        organization_id, reference = await ledger.reference()
        payin = credited(fundingReference=reference, amount="250.00")
        await asyncio.gather(*(door.post(payin, source=BANK) for _ in range(5)))

        async def credited_once() -> bool:
            return await ledger.posted(organization_id) == "250.00"

        await eventually(credited_once, "credited once")
        assert [row["published_at"] is not None for row in await told(door, payin)] in ([True], [False])
    finally:
        await close_ledger_desk(ledger)
