"""What the ledger service can be told."""

from pathlib import Path

from pydantic import Field

from poolkit.settings import Address, ServiceSettings


class LedgerSettings(ServiceSettings):
    """The common settings, whom a close asks, when and how patiently, and where the keys lie that sign chain heads.

    Only a close calls anybody: what the ledger does for a trade depends on no colleague.
    """

    trade_address: Address | None = Field(
        default=None, description="host:port of the trade service; without it no date is closed"
    )
    webhook_ingest_address: Address | None = Field(
        default=None, description="host:port of the webhook-ingest service; without it no date is closed"
    )
    quote_address: Address | None = Field(
        default=None, description="host:port of the quote service; without it no date is closed"
    )
    close_schedule_enabled: bool = Field(
        default=True, description="`true` to close every date by itself, `false` where something else asks for it"
    )
    close_delay_seconds: float = Field(
        default=600.0, ge=0, le=86_400, description="seconds after UTC midnight before the date that ended is closed"
    )
    close_look_seconds: float = Field(
        default=30.0, gt=0, le=3600, description="seconds between two looks for dates to close, up to 3600"
    )
    close_wait_seconds_max: float = Field(
        default=120.0, gt=0, le=600, description="seconds that a close waits for what is still to come, up to 600"
    )
    reserved_seconds_max: float = Field(
        default=600.0,
        gt=0,
        le=2_592_000,
        description="seconds after which a reserved trade is an exception of the close",
    )
    unprocessed_seconds_max: float = Field(
        default=900.0,
        ge=0,
        le=86_400,
        description="seconds that a webhook or parked event may wait before today's close lists it, up to 86400",
    )
    close_signing_key_file: Path | None = Field(
        default=None, description="the PEM file of the Ed25519 private key that signs chain heads at closes"
    )
    close_public_keys_directory: Path | None = Field(
        default=None, description="a directory with the public keys, one *.pem each, that signed before and still count"
    )
