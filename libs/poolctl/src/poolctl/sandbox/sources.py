"""Owns telling webhook-ingest whom the sandbox posts as: `python -m poolctl.sandbox.sources`, harmless to repeat."""

import asyncio

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from poolctl.sandbox.names import BANK_SOURCE, SETTLEMENT_SOURCE
from poolkit.errors import DomainError
from poolkit.rpc.certificates import Certificates
from poolkit.rpc.channels import open_channel
from poolkit.settings import PREFIX, Address, load
from poolkit.tls_settings import TlsSettings
from pools.webhook_ingest.v1.webhook_ingest_pb2 import CreateSourceRequest
from pools_contracts.webhook_ingest import WebhookIngestClient

_NAME_TAKEN = "name_taken"


class SourceSettings(TlsSettings):
    """Where webhook-ingest is, and the secrets that the sandbox signs with."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True)

    webhook_ingest_address: Address = Field(description="host:port of the webhook-ingest service")
    settlement_source_secret: SecretStr = Field(description="the `whsec_…` the settlement provider signs with")
    bank_source_secret: SecretStr = Field(description="the bank's `whsec_…`")


async def ensure_sources(
    address: str, settlement_secret: str, bank_secret: str, certificates: Certificates | None = None
) -> None:
    """Makes the two sources where there are none; a person may have rotated their secrets since, so they stay.

    With certificates, it has to be an operator's.
    """
    wanted = (
        CreateSourceRequest(name=SETTLEMENT_SOURCE, secret=settlement_secret),
        CreateSourceRequest(name=BANK_SOURCE, kinds=["payin.credited"], secret=bank_secret),
    )
    channel = open_channel(address, "poolctl", callee="webhook-ingest", certificates=certificates)
    async with WebhookIngestClient(channel) as client:
        for request in wanted:
            try:
                # gRPC remembers an address that refused it a moment ago, as one that is starting anew did.
                await client.admin.CreateSource(request, wait_for_ready=True)
            except DomainError as refusal:
                if refusal.code != _NAME_TAKEN:
                    raise


if __name__ == "__main__":
    told = load(SourceSettings)
    asyncio.run(
        ensure_sources(
            told.webhook_ingest_address,
            told.settlement_source_secret.get_secret_value(),
            told.bank_source_secret.get_secret_value(),
            Certificates.of(told),
        )
    )
