"""What the trade service can be told."""

from __future__ import annotations

from pydantic import Field

from poolkit.settings import Address, ServiceSettings


class TradeSettings(ServiceSettings):
    """The common settings, the addresses of the two services a transact needs, and when recovery steps in."""

    quote_address: Address = Field(description="host:port of the quote service")
    ledger_address: Address = Field(description="host:port of the ledger service")
    recovery_claim_seconds: float = Field(
        default=5.0, gt=0, le=600, description="seconds of silence after which recovery takes an intent over, up to 600"
    )
