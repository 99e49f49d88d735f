"""Owns which outcome a sandbox trade has, and what the provider reports of it. Source: contract section 11."""

import json
from dataclasses import dataclass
from typing import Final

from pools.types.v1 import types_pb2

SETTLED: Final = "trade.settled"
FAILED: Final = "trade.failed"
RELEASED: Final = "trade.released"
RETURNED: Final = "trade.returned"

AGAIN: Final = "again"

# Reported three times is: an event, the same event once more, and another event that says the same.
_THRICE: Final = ("", "", AGAIN)
_BY_SUFFIX: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "0001": ((SETTLED, ""),),
    "0002": ((FAILED, ""),),
    "0003": ((RELEASED, ""),),
    "0004": ((SETTLED, ""), (RETURNED, "")),
    "0005": (),
    "0006": tuple((kind, telling) for kind in (RETURNED, SETTLED) for telling in _THRICE),
}
_OTHERWISE: Final = ((SETTLED, ""),)

_encode: Final = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Report:
    """One webhook. Everything in it follows from the trade, so that telling it again tells the same, to the byte."""

    event_id: str
    kind: str
    body: bytes


def reports_of(trade: types_pb2.Trade) -> list[Report]:
    """What is reported of a trade, in order; nothing for one that never settles."""
    chooser = trade.destination_address if trade.side == types_pb2.SIDE_ON_RAMP else trade.client_reference
    return [_report(trade, kind, telling) for kind, telling in _BY_SUFFIX.get(chooser[-4:], _OTHERWISE)]


def _report(trade: types_pb2.Trade, kind: str, telling: str) -> Report:
    transact_id = trade.transact_id
    event_id = "_".join(filter(None, ("stl", transact_id, kind.removeprefix("trade."), telling)))
    fields = {"eventId": event_id, "kind": kind, "transactId": transact_id}
    if kind == SETTLED:
        fields["networkTransactionId"] = f"0x{transact_id.lower().replace('_', '')}"
        fields["cryptoCurrency"] = trade.crypto.currency
        fields["cryptoAmount"] = trade.crypto.amount
    # The moment of the reservation: the only one that is known again after a restart.
    fields["occurredAt"] = trade.create_time.ToJsonString()
    return Report(event_id, kind, _encode(fields).encode())
