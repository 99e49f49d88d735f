"""Owns which outcome a sandbox trade has, and what the provider reports of it. Source: contract section 11."""

from dataclasses import dataclass
from typing import Final

from pools.types.v1 import types_pb2

SETTLED: Final = "trade.settled"
FAILED: Final = "trade.failed"
RELEASED: Final = "trade.released"
RETURNED: Final = "trade.returned"

_BY_SUFFIX: Final[dict[str, tuple[str, ...]]] = {
    "0001": (SETTLED,),
    "0002": (FAILED,),
    "0003": (RELEASED,),
    "0004": (SETTLED, RETURNED),
    "0005": (),
    "0006": (RETURNED, RETURNED, RETURNED, SETTLED, SETTLED, SETTLED),
}
_OTHERWISE: Final = (SETTLED,)


@dataclass(frozen=True, slots=True)
class Report:
    """One webhook body. Everything in it follows from the trade, so that telling it again tells the same."""

    event_id: str
    body: dict[str, str]


def reports_of(trade: types_pb2.Trade) -> list[Report]:
    """What is reported of a trade; nothing for one that never settles."""
    chooser = trade.destination_address if trade.side == types_pb2.SIDE_ON_RAMP else trade.client_reference
    return [_report(trade, kind) for kind in _BY_SUFFIX.get(chooser[-4:], _OTHERWISE)]


def _report(trade: types_pb2.Trade, kind: str) -> Report:
    event_id = f"stl_{trade.transact_id}_{kind.removeprefix('trade.')}"
    body = {
        "eventId": event_id,
        "kind": kind,
        "transactId": trade.transact_id,
        "occurredAt": trade.create_time.ToJsonString(),
    }
    if kind == SETTLED:
        body |= {
            "networkTransactionId": f"0x{trade.transact_id.lower().replace('_', '')}",
            "cryptoCurrency": trade.crypto.currency,
            "cryptoAmount": trade.crypto.amount,
        }
    return Report(event_id, body)
