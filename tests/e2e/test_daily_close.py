"""The day as it happens is closed: everything that ended is matched, and partners read so."""

from datetime import UTC, datetime
from typing import Any

from tests.e2e.commands import Poolctl
from tests.e2e.databases import Databases
from tests.e2e.partners import SETTLES, Partner
from tests.waiting import eventually

OUTCOMES = {"0001": "settled", "0002": "failed", "0003": "released", "0004": "returned", "0006": "returned"}


async def test_todays_close_matches_what_ended_and_partners_read_it(
    partner: Partner, poolctl: Poolctl, databases: Databases
) -> None:
    trades = {}
    for ending, status in OUTCOMES.items():
        trade = await partner.rest.accept(amount="10.00", destinationAddress=SETTLES[:-4] + ending)
        trades[trade["transactId"]] = status
    stuck = (await partner.rest.accept(amount="10.00", destinationAddress=SETTLES[:-4] + "0005"))["transactId"]

    async def all_ended() -> bool:
        return {id_: (await partner.rest.trade(id_)).json()["status"] for id_ in trades} == trades

    await eventually(all_ended, "every trade reached its last status")
    today = datetime.now(UTC).date().isoformat()
    close: dict[str, Any] = await poolctl.answer("close", "run", "--date", today)
    own = [found for found in close["exceptions"] if found["ids"].get("organizationId") == partner.organization_id]
    assert own == []
    assert close["provisional"] is True
    assert close["balanced"] is True
    states = {id_: (await partner.rest.trade(id_)).json()["reconciliationState"] for id_ in (*trades, stuck)}
    assert states == dict.fromkeys(trades, "matched") | {stuck: "open"}

    # The books of the partner's trades, three ways: as many as ended, each under every status it reached.
    counted = await databases.value(
        "trade",
        "SELECT count(*) FROM transitions WHERE number > 0 AND business_date = $1 AND created_at < $2",
        datetime.fromisoformat(today).date(),
        datetime.fromisoformat(close["cutTime"]),
    )
    assert sum(int(total["tradeCount"]) for total in close["tradeTotals"]) == counted
