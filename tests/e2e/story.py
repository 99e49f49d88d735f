"""One order of a partner from its quote to the books, and the ids it goes by; another that stays reserved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from poolctl.receiver import Received, WebhookReceiver
from poolctl.session import Session
from pools.gateway.v1 import admin_pb2
from pools.types.v1 import types_pb2
from tests.e2e.partners import SETTLES, Partner, PartnerFactory, RestPartner
from tests.waiting import eventually

REFERENCE: Final = "partner_order_123"
KEY: Final = "order-123"
NEVER_REPORTS: Final = SETTLES[:-4] + "0005"


@dataclass(frozen=True, slots=True)
class Story:
    """An order from its quote to the books, and the ids it went by."""

    partner: Partner
    quote: dict[str, Any]
    quote_request_id: str
    reserved: dict[str, Any]
    settled: dict[str, Any]
    webhook: Received
    entry: types_pb2.LedgerEntry

    @property
    def trade_id(self) -> str:
        """The execution's id."""
        transact_id: str = self.reserved["transactId"]
        return transact_id


async def journey(session: Session, wanted: str) -> admin_pb2.FindJourneyResponse:
    """What support finds."""
    found: admin_pb2.FindJourneyResponse = await session.gateway.support.FindJourney(
        admin_pb2.FindJourneyRequest(id=wanted)
    )
    return found


async def tell(partners: PartnerFactory, session: Session, receiver: WebhookReceiver) -> Story:
    """Makes the order and waits until everything about it is on record."""
    partner = await partners()
    quoted = await partner.rest.quote(clientReference=REFERENCE)
    reserved = (await partner.rest.transact(quoted.json()["quoteId"], key=KEY)).json()
    webhook = await receiver.event_of(reserved["transactId"], seconds=15)

    async def posted() -> types_pb2.LedgerEntry | None:
        entries = (await partner.grpc.ledger()).entries
        return entries[0] if len(entries) == 2 else None

    entry = await eventually(posted, "the trade is in the ledger")

    async def logged() -> bool:
        found = await journey(session, reserved["transactId"])
        return {"api_call", "delivery", "entry"} <= {record.kind for record in found.records}

    await eventually(logged, "everything is on record")
    settled = (await partner.rest.trade(reserved["transactId"])).json()
    request_id = quoted.headers["X-Request-Id"]
    return Story(partner, quoted.json(), request_id, reserved, settled, webhook, entry)


async def reserve(partner: Partner, session: Session, *, label: str) -> dict[str, Any]:
    """An order that nobody will end, made with a key of that label: the trade as the partner reads it."""
    made = await session.gateway.admin.CreateKey(
        admin_pb2.CreateKeyRequest(organization_id=partner.organization_id, kind=admin_pb2.KEY_KIND_SECRET, label=label)
    )
    rest = RestPartner(session.addresses.rest, made.plaintext_key)
    async with rest.http:
        trade = await rest.accept(clientReference=REFERENCE, destinationAddress=NEVER_REPORTS)
        read: dict[str, Any] = (await rest.trade(trade["transactId"])).json()
    return read


def names_in(document: Any) -> list[str]:
    """Every key of a JSON document, however deep."""
    if isinstance(document, dict):
        return [*document, *(name for value in document.values() for name in names_in(value))]
    if isinstance(document, list):
        return [name for value in document for name in names_in(value)]
    return []
