"""Events as providers tell them, for tests that change one thing about them."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from webhook_ingest.domain.events import Kind, ProviderEvent

OCCURRED = datetime(2026, 11, 22, 10, tzinfo=UTC)

SETTLED = ProviderEvent(
    event_id="evt_1",
    kind=Kind.TRADE_SETTLED,
    occurred_at=OCCURRED,
    transact_id="pt_test_1",
    network_transaction_id="0xabc",
    currency="USDT",
    amount=Decimal("107.904009"),
)
CREDITED = ProviderEvent(
    event_id="evt_2",
    kind=Kind.PAYIN_CREDITED,
    occurred_at=OCCURRED,
    currency="EUR",
    amount=Decimal("1000.00"),
    funding_reference="REF1",
    bank_transaction_id="bank-1",
)


def changed(event: ProviderEvent, **fields: Any) -> ProviderEvent:
    """The event with other values in some fields."""
    return replace(event, **fields)
