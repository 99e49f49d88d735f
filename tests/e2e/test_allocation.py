"""Money of an unknown payer: it waits in suspense, a person says whose it is, and the partner sees a pay-in."""

from decimal import Decimal

from poolctl.payin import pay_in
from poolctl.session import Session
from tests.e2e.commands import Poolctl
from tests.e2e.databases import Databases
from tests.e2e.partners import Partner
from tests.waiting import eventually

_LEGS = """
SELECT organization_id, reason, kind, sum(amount) AS amount FROM journal WHERE event_id = $1 AND amount <> 0
GROUP BY 1, 2, 3
"""


async def legs(databases: Databases, event_id: str) -> set[tuple[str, str, str, Decimal]]:
    found = await databases.rows("ledger", _LEGS, event_id)
    return {(row["organization_id"], row["reason"], row["kind"], row["amount"]) for row in found}


async def test_an_unknown_payin_goes_to_suspense_and_from_there_to_whom_a_person_names(
    partner: Partner, poolctl: Poolctl, databases: Databases, session: Session
) -> None:
    organization, typed = partner.organization_id, "somebody's invoice"
    paid = await pay_in(session, organization, currency="EUR", amount="77.70", reference=typed)

    async def waits() -> bool:
        kept = "SELECT count(*) FROM unallocated_payins WHERE webhook_id = $1"
        return bool(await databases.value("webhook-ingest", kept, paid["webhookId"]))

    await eventually(waits, "the pay-in waits for a person", seconds=30)
    listed = (await poolctl.answer("payin", "list", "--unallocated", "--limit", "1000"))["payins"]
    [payin] = [row for row in listed if row["webhookId"] == paid["webhookId"]]
    assert (payin["amount"], payin["currency"], payin["fundingReference"]) == ("77.70", "EUR", typed)
    event = payin["payinEventId"]

    async def in_suspense() -> bool:
        return await legs(databases, event) == {
            ("unallocated", "payin_suspended", "suspense", Decimal("77.70")),
            ("unallocated", "payin_suspended", "bank", Decimal("-77.70")),
        }

    await eventually(in_suspense, "the ledger keeps it in suspense")
    assert await partner.rest.available() == "1000.00"

    allocated = await poolctl.answer("payin", "allocate", event, organization, "--reason", "the payer called")
    assert allocated["repeated"] is False

    async def credited() -> bool:
        return await partner.rest.available() == "1077.70"

    await eventually(credited, "the partner has the money")
    assert await legs(databases, allocated["eventId"]) == {
        ("unallocated", "payin_allocated", "suspense", Decimal("-77.70")),
        ("unallocated", "payin_allocated", "clearing", Decimal("77.70")),
        (organization, "payin_credit", "clearing", Decimal("-77.70")),
        (organization, "payin_credit", "partner", Decimal("77.70")),
    }
    newest = (await partner.rest.ledger()).json()["entries"][0]
    assert (newest["reason"], newest["delta"], newest["balanceAfter"]) == ("payin_credit", "77.70", "1077.70")

    other = await poolctl("payin", "allocate", paid["eventId"], "org_nobody", "--json")
    assert other.status == 1
    assert "not_found" in other.stderr
    assert await partner.rest.available() == "1077.70"
