"""The service as its colleagues call it: items answered in order, pages that miss nothing, journeys from any id."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from ledger.api.admin_service import LedgerAdminService
from ledger.api.ledger_service import LedgerService
from ledger.app.find_records import find_records
from ledger.app.place_holds import PlaceHolds
from poolkit.errors import InvalidRequest
from poolkit.rpc.channels import open_channel
from poolkit.rpc.journey import JourneyService
from poolkit.rpc.server import RpcServer
from pools.ledger.v1 import ledger_pb2, ledger_pb2_grpc
from pools.types.v1 import journey_pb2, journey_pb2_grpc, types_pb2
from pools_contracts.ledger import LedgerClient
from tests.integration.ledger.books import Books, new_trade
from tests.integration.ledger.events import UNSAMPLED, changed, money, payin, top_up, trade_event


@pytest.fixture
async def client(books: Books) -> AsyncIterator[LedgerClient]:
    """The stubs, over a real server on loopback."""
    server = RpcServer("127.0.0.1:0", name="internal")
    service = LedgerService(books.database, PlaceHolds(books.database, books.directory), mode="test")
    server.add(ledger_pb2_grpc.add_LedgerServiceServicer_to_server, service)
    server.add(ledger_pb2_grpc.add_LedgerAdminServiceServicer_to_server, LedgerAdminService(books.database))
    server.add(
        journey_pb2_grpc.add_JourneyServiceServicer_to_server,
        JourneyService("ledger", partial(find_records, books.database)),
    )
    channel = open_channel(f"127.0.0.1:{await server.start()}", "test")
    yield LedgerClient(channel)
    await channel.close()
    await server.stop(0)


def context(organization_id: str = "org_1", **changes: Any) -> types_pb2.RequestContext:
    fields: dict[str, Any] = {
        "request_id": "req_1",
        "organization_id": organization_id,
        "mode": types_pb2.MODE_TEST,
        "traceparent": UNSAMPLED,
    }
    return types_pb2.RequestContext(**(fields | changes))


def hold_item(trade_id: str, amount: str = "100.00", **changes: Any) -> ledger_pb2.PlaceHoldsItem:
    fields: dict[str, Any] = {
        "context": context(),
        "trade_id": trade_id,
        "quote_id": "pq_test_1",
        "amount": money(amount, "EUR"),
        "balance_gate_enabled": True,
        "client_reference": "order_1",
    }
    return ledger_pb2.PlaceHoldsItem(**(fields | changes))


async def place(client: LedgerClient, *items: ledger_pb2.PlaceHoldsItem) -> list[str]:
    """Each item's hold id, or the reason why there is none."""
    response = await client.ledger.PlaceHolds(ledger_pb2.PlaceHoldsRequest(items=items))
    return [result.hold_id or result.refusal.reason for result in response.results]


async def test_holds_are_placed_and_voided_item_by_item(books: Books, client: LedgerClient) -> None:
    await books.apply(payin("org_1", "150.00"))
    one, two = new_trade(), new_trade()
    answers = await place(
        client,
        hold_item(one),
        hold_item(two),
        hold_item(new_trade(), "1.001"),
        hold_item(new_trade(), "0.00"),
        hold_item("quote_1"),
        hold_item(new_trade(), context=context(mode=types_pb2.MODE_LIVE)),
        hold_item(new_trade(), context=context(organization_id="")),
        hold_item(new_trade(), client_reference="a\x00b"),
        hold_item(one),
    )
    held = one.replace("pt_", "hold_")
    assert answers == [held, "insufficient_balance", *["invalid_request"] * 6, held]
    request = ledger_pb2.VoidHoldsRequest(
        items=[ledger_pb2.VoidHoldsItem(context=context(), trade_id=trade) for trade in (one, two)]
    )
    assert [result.voided for result in (await client.ledger.VoidHolds(request)).results] == [True, False]
    assert [result.voided for result in (await client.ledger.VoidHolds(request)).results] == [False, False]
    assert await place(client, hold_item(one)) == ["attempt_undone"]


async def test_batches_are_bounded(client: LedgerClient) -> None:
    for items in ([], [hold_item("pt_1")] * 257):
        with pytest.raises(InvalidRequest):
            await client.ledger.PlaceHolds(ledger_pb2.PlaceHoldsRequest(items=items))


async def test_balances_of_many_are_read_at_once(books: Books, client: LedgerClient) -> None:
    await books.apply(payin("org_1"), payin("org_2", "5.00"))
    await books.hold("org_1", new_trade(), "0.50")
    asked = [("org_2", "EUR"), ("org_1", "EUR"), ("org_1", "USDT"), ("org_3", "GBP")]
    response = await client.ledger.GetBalances(
        ledger_pb2.GetBalancesRequest(
            items=[ledger_pb2.GetBalancesItem(context=context(org), currency=code) for org, code in asked]
        )
    )
    assert [(each.posted.amount, each.held.amount, each.available.amount) for each in response.balances] == [
        ("5.00", "0.00", "5.00"),
        ("1000.00", "0.50", "999.50"),
        ("0.000000", "0.000000", "0.000000"),
        ("0.00", "0.00", "0.00"),
    ]


async def entries(client: LedgerClient, **fields: Any) -> ledger_pb2.ListEntriesResponse:
    request = ledger_pb2.ListEntriesRequest(**({"context": context(), "currency": "EUR"} | fields))
    return await client.ledger.ListEntries(request)


async def test_entries_read_as_the_contract_shows_them(books: Books, client: LedgerClient) -> None:
    trade = new_trade()
    await books.apply(payin("org_1"), trade_event("org_1", trade))
    page = await entries(client)
    assert page.balance.available.amount == "900.00"
    debit, credit = page.entries
    assert (debit.delta.amount, debit.reason, debit.balance_after.amount) == ("-100.00", "buy_debit", "900.00")
    assert (debit.transact_id, debit.client_reference) == (trade, "mobile_checkout_123")
    assert debit.entry_id.startswith("le_")
    assert debit.ledger_transaction_id.startswith("ledger_")
    assert debit.HasField("create_time")
    assert (credit.delta.amount, credit.reason, credit.transact_id) == ("1000.00", "payin_credit", "")
    assert page.next_page_token == ""


async def test_nothing_posted_yet_is_zero_and_an_empty_list(client: LedgerClient) -> None:
    page = await entries(client, context=context("org_new"))
    assert (page.balance.available.amount, list(page.entries), page.next_page_token) == ("0.00", [], "")


async def test_pages_follow_each_other_while_new_entries_come(books: Books, client: LedgerClient) -> None:
    await books.apply(*[payin("org_1", f"{number}.00") for number in range(1, 8)], payin("org_2"))
    seen, token = [], ""
    while True:
        page = await entries(client, page_size=3, page_token=token)
        seen += [entry.delta.amount for entry in page.entries]
        token = page.next_page_token
        if not token:
            break
        await books.apply(payin("org_1", "99.00"))
    assert seen == [f"{number}.00" for number in range(7, 0, -1)]


@pytest.mark.parametrize("token", ["x", "!!", "MTpFVVI6MA", "MTpVU0Q6NQ", "é"])
async def test_foreign_page_token_is_refused(client: LedgerClient, token: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await entries(client, page_token=token)
    assert caught.value.field == "page_token"


async def test_page_size_and_currency_are_bounded(client: LedgerClient) -> None:
    for fields in ({"page_size": 201}, {"page_size": -1}, {"currency": "XXX"}):
        with pytest.raises(InvalidRequest):
            await entries(client, **fields)


async def test_funding_reference_is_made_once_and_found_however_typed(client: LedgerClient) -> None:
    request = ledger_pb2.EnsureFundingReferencesRequest(
        items=[
            ledger_pb2.FundingReferenceItem(context=context(org), currency=code)
            for org, code in (("org_1", "EUR"), ("org_1", "GBP"), ("org_2", "EUR"), ("org_1", "EUR"))
        ]
    )
    made = [each.reference for each in (await client.ledger.EnsureFundingReferences(request)).references]
    again = [each.reference for each in (await client.ledger.EnsureFundingReferences(request)).references]
    assert made == again
    assert (len(set(made)), made[0] == made[3]) == (3, True)
    typed = [f" {made[2][:5].lower()} {made[2][5:]}", made[1], made[0][:-1] + "?", ""]
    response = await client.ledger.LookUpFundingReferences(ledger_pb2.LookUpFundingReferencesRequest(references=typed))
    found = [
        (each.reference.organization_id, each.reference.currency, each.refusal.reason) for each in response.results
    ]
    assert found == [("org_2", "EUR", ""), ("org_1", "GBP", ""), ("", "", "not_found"), ("", "", "not_found")]


async def test_funding_reference_is_for_fiat(client: LedgerClient) -> None:
    item = ledger_pb2.FundingReferenceItem(context=context(), currency="USDT")
    with pytest.raises(InvalidRequest):
        await client.ledger.EnsureFundingReferences(ledger_pb2.EnsureFundingReferencesRequest(items=[item]))


async def test_trial_balance_lists_every_kind_and_sums_to_zero(books: Books, client: LedgerClient) -> None:
    await books.apply(top_up(), payin("org_1"), payin("unallocated"), trade_event("org_1", new_trade()))
    await books.hold("org_1", new_trade())
    response = await client.admin.GetTrialBalance(ledger_pb2.GetTrialBalanceRequest())
    lines = {
        (line.account_kind, line.amount.currency): (line.amount.amount, line.entry_count) for line in response.lines
    }
    assert lines == {
        ("partner", "EUR"): ("900.00", 2),
        ("bank", "EUR"): ("-2000.00", 2),
        ("fees", "EUR"): ("0.20", 1),
        ("conversion", "EUR"): ("99.80", 1),
        ("suspense", "EUR"): ("1000.00", 1),
        ("spread", "USDT"): ("0.378991", 1),
        ("conversion", "USDT"): ("-108.283000", 1),
        ("inventory", "USDT"): ("-4892.095991", 2),
        ("treasury", "USDT"): ("5000.000000", 1),
    }
    assert (response.balanced, response.open_hold_count) == (True, 1)


async def find(client: LedgerClient, *ids: str) -> list[tuple[str, str]]:
    """The kinds and summaries of what the ledger knows."""
    response = await client.journey.FindRecords(journey_pb2.FindRecordsRequest(ids=ids))
    assert all(record.service == "ledger" for record in response.records)
    times = [record.record_time.ToNanoseconds() for record in response.records]
    assert times == sorted(times)
    return [(record.kind, record.record_id) for record in response.records]


async def test_any_id_leads_to_hold_events_and_entries(books: Books, client: LedgerClient) -> None:
    trade = new_trade()
    settled = trade_event("org_1", trade)
    await books.apply(payin("org_1"))
    await books.hold("org_1", trade)
    await books.apply(settled)
    row = await books.admin.fetch_row("SELECT id FROM transactions WHERE trade_id = $1", trade)
    assert row is not None
    transaction: str = row["id"]
    hold, entry = trade.replace("pt_", "hold_"), transaction.replace("ledger_", "le_")
    posted = [("entry", f"{entry}{leg}") for leg in range(1, 7)]
    whole = sorted([("hold", hold), ("hold", hold), ("event", settled.event_id), *posted])
    for ids in ([trade], [hold], [trade.replace("pt_", "pq_")], ["mobile_checkout_123"], [trade, hold, transaction]):
        assert sorted(await find(client, *ids)) == whole
    for ids in ([settled.event_id], [transaction], [f"{entry}3"], [settled.request_id]):
        assert sorted(await find(client, *ids)) == sorted([("event", settled.event_id), *posted])
    assert sorted(await find(client, "req_hold")) == sorted(
        [("hold", hold), ("hold", hold), ("event", settled.event_id)]
    )
    assert await find(client, "nobody", "", "le_", "hold_", "ledger_", "pt_test_x") == []


async def test_journey_tells_what_waits_and_what_is_wrong(books: Books, client: LedgerClient) -> None:
    trade = new_trade()
    returned = trade_event("org_1", trade, "returned")
    await books.apply(returned)
    response = await client.journey.FindRecords(journey_pb2.FindRecordsRequest(ids=[trade]))
    [record] = response.records
    assert (record.kind, record.facts["state"]) == ("event", "parked")
    await books.apply(trade_event("org_1", trade))
    assert ("exception", trade_event("org_1", trade).event_id) in await find(client, trade)
    original = payin("org_1")
    await books.apply(original)
    with pytest.raises(Exception, match="event_conflict"):
        await books.apply(changed(original))
    assert ("exception", original.event_id) in await find(client, original.event_id)


async def test_journey_tells_what_closes_found_and_whether_a_later_revision_still_does(
    books: Books, client: LedgerClient
) -> None:
    trade = new_trade()
    for revision, close in ((1, "close_1"), (2, "close_2")):
        await books.admin.execute(
            """INSERT INTO closes (close_id, mode, business_date, revision, provisional, cut_at, inbox_sequence,
                   content_hash, contents, matched_count, exception_count, changes, request_id, requested_by,
                   traceparent)
               VALUES ($1, 'test', '2026-11-22', $2, false, now(), 1, sha256(''), '{}', 0, 1,
                       CASE WHEN $2 > 1 THEN '{}'::jsonb END, 'req_close', 'Anna', '')""",
            close,
            revision,
        )
        await books.admin.execute(
            """INSERT INTO close_exceptions (close_id, number, kind, fingerprint, organization_id, trade_id, event_id,
                   ids, amounts, amount_keys, occurred_at, age_seconds, description)
               VALUES ($1, 1, 'amount_mismatch', sha256(''), 'org_1', $2, '', '{}', '{}', '{}', now(), 0,
                       'it differs')""",
            close,
            trade,
        )
    response = await client.journey.FindRecords(journey_pb2.FindRecordsRequest(ids=[trade]))
    first, second = response.records
    assert (first.kind, first.record_id, first.facts["requested_by"]) == ("close_exception", "close_1/1", "Anna")
    assert first.summary == "close of 2026-11-22, revision 1: amount mismatch: it differs"
    assert (first.HasField("awaited"), second.HasField("awaited")) == (False, True)
    cut = await client.journey.FindRecords(journey_pb2.FindRecordsRequest(ids=[trade], page_size=1))
    assert (len(cut.records), cut.truncated, response.truncated) == (1, True, False)


async def test_journey_request_is_bounded(client: LedgerClient) -> None:
    for fields in ({"ids": []}, {"ids": ["x"] * 101}, {"ids": ["x"], "page_size": 1001}):
        with pytest.raises(InvalidRequest):
            await client.journey.FindRecords(journey_pb2.FindRecordsRequest(**fields))
