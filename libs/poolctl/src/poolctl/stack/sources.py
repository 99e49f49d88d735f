"""Owns telling webhook-ingest whom the sandbox posts as: a settlement provider and a bank, with the stack's secrets."""

from poolctl.sandbox.names import BANK_SOURCE, SETTLEMENT_SOURCE
from poolctl.stack.programs import Wiring

_NAME_TAKEN = "name_taken"


async def ensure_sandbox_sources(wiring: Wiring) -> None:
    """Makes the two sources where there are none; a person may have rotated their secrets since, so they stay."""
    from poolkit.errors import DomainError
    from poolkit.rpc.channels import open_channel
    from pools.webhook_ingest.v1.webhook_ingest_pb2 import CreateSourceRequest
    from pools_contracts.webhook_ingest import WebhookIngestClient

    wanted = (
        CreateSourceRequest(name=SETTLEMENT_SOURCE, secret=wiring.secrets.settlement_source_secret),
        CreateSourceRequest(name=BANK_SOURCE, kinds=["payin.credited"], secret=wiring.secrets.bank_source_secret),
    )
    async with WebhookIngestClient(open_channel(wiring.address("webhook-ingest.grpc"), "poolctl")) as client:
        for request in wanted:
            try:
                await client.admin.CreateSource(request)
            except DomainError as refusal:
                if refusal.code != _NAME_TAKEN:
                    raise
