"""Owns the JSON of webhooks: how a body is read into an event, and what is answered. Source: contract section 7."""

from datetime import datetime
from typing import Annotated, Final

import msgspec

from poolkit.errors import InvalidRequest
from webhook_ingest.domain.events import Kind, ProviderEvent, kind_of, pay_in, trade_report

Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class EventBody(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """What a source posts. Fields nobody knows are passed over: providers add some without asking."""

    event_id: str
    kind: str
    occurred_at: Moment
    transact_id: str | None = None
    network_transaction_id: str | None = None
    crypto_currency: str | None = None
    crypto_amount: str | None = None
    funding_reference: str | msgspec.UnsetType | None = msgspec.UNSET
    bank_transaction_id: str | None = None
    currency: str | None = None
    amount: str | None = None


class ReceivedBody(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """The answer to a webhook that is durable."""

    webhook_id: str
    duplicate: bool
    received: bool = True


_decoder: Final = msgspec.json.Decoder(EventBody)
encode: Final = msgspec.json.Encoder().encode


def read_event(body: bytes) -> ProviderEvent:
    """The event in a body. Raises InvalidRequest, naming the field where there is one."""
    try:
        given = _decoder.decode(body)
    except msgspec.ValidationError as error:
        # "Expected `str`, got `int` - at `$.amount`"
        what, _, path = str(error).partition(" - at `$.")
        raise InvalidRequest(f"{what}.", field=path.rstrip("`")) from None
    except (msgspec.DecodeError, RecursionError):
        raise InvalidRequest("The body is not JSON; send the event as a JSON object.") from None
    kind = kind_of(given.kind)
    if kind is not Kind.PAYIN_CREDITED:
        return trade_report(
            kind,
            event_id=given.event_id,
            transact_id=given.transact_id,
            network_transaction_id=given.network_transaction_id,
            crypto_currency=given.crypto_currency,
            crypto_amount=given.crypto_amount,
            occurred_at=given.occurred_at,
        )
    if given.funding_reference is msgspec.UNSET:
        raise InvalidRequest("it is missing; send an empty one where the payer wrote none.", field="fundingReference")
    return pay_in(
        event_id=given.event_id,
        funding_reference=given.funding_reference or "",
        bank_transaction_id=given.bank_transaction_id,
        currency=given.currency,
        amount=given.amount,
        occurred_at=given.occurred_at,
    )
