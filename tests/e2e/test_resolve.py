"""A stuck trade ends by a person's word, everywhere at once; and a close's word on it shows wherever a trade does.

Source: CONTRACT §6, §8, §12.
"""

from poolctl.receiver import WebhookReceiver
from poolctl.session import Session, internal_channel
from poolkit.rpc.callers import LEDGER
from pools.trade.v1 import reconciliation_pb2
from pools.types.v1 import types_pb2
from pools_contracts.trade import TradeClient
from tests.e2e.commands import Poolctl
from tests.e2e.databases import Databases
from tests.e2e.partners import SETTLES, Partner
from tests.waiting import eventually


async def test_a_stuck_trade_is_released_by_a_person_and_a_close_s_word_is_shown(
    partner: Partner, receiver: WebhookReceiver, databases: Databases, poolctl: Poolctl, session: Session
) -> None:
    trade_id = (await partner.rest.accept(destinationAddress=SETTLES[:-4] + "0005"))["transactId"]
    words = ("trade", "resolve", trade_id, "--release", "--by", "ada")
    released = await poolctl.answer(*words, "--reason", "the provider never got it")
    assert (released["transactId"], released["status"]) == (trade_id, "released")
    assert released["resolution"] == {"reason": "the provider never got it", "resolvedBy": "ada"}
    assert released["alreadyResolved"] is False
    again = await poolctl.answer(*words, "--reason", "another reason")
    assert again == released | {"alreadyResolved": True}

    async def everyone_knows() -> bool:
        assert (await partner.rest.trade(trade_id)).json()["status"] == "released"
        assert await databases.hold_of_trade(trade_id) == "voided"
        assert await databases.legs_of_trade(trade_id) == {}
        assert await partner.rest.available() == "1000.00"
        return [event.type for event in receiver.events_of(trade_id)] == ["pool.transaction.released"]

    await eventually(everyone_knows, "the hold is void and the partner is told")

    item = reconciliation_pb2.SetReconciliationStatesItem(
        trade_id=trade_id, state=types_pb2.RECONCILIATION_STATE_MATCHED
    )
    said = reconciliation_pb2.SetReconciliationStatesRequest(
        context=types_pb2.RequestContext(mode=types_pb2.MODE_TEST, request_id=session.request_id),
        business_date=released["terminalAt"][:10],
        # Behind any close that the stack makes of this day.
        revision=1_000_000,
        close_id="close_of_a_test",
        items=[item],
    )
    async with TradeClient(internal_channel(session.addresses, "trade", identity=LEDGER)) as ledger_asks:
        await ledger_asks.reconciliation.SetReconciliationStates(said)
    assert (await partner.rest.trade(trade_id)).json()["reconciliationState"] == "matched"
    assert (await partner.grpc.trade(trade_id)).reconciliation_state == types_pb2.RECONCILIATION_STATE_MATCHED
    journey = await poolctl.answer("journey", trade_id)
    assert journey["record"]["reconciliation_state"] == "matched"
    [decided] = [record for record in journey["records"] if record["kind"] == "resolution"]
    assert decided["facts"] == {
        "resolution": "release", "reason": "the provider never got it", "resolved_by": "ada"
    }  # fmt: skip

    refused = await poolctl("trade", "resolve", "pt_test_nobody", "--release", "--reason", "none such")
    assert (refused.status, "There is no trade" in refused.stderr) == (1, True)
