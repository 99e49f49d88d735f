"""Owns telling webhook-ingest whom the sandbox posts as: a settlement provider and a bank, with the stack's secrets."""

from poolctl.stack.programs import Wiring


async def ensure_sandbox_sources(wiring: Wiring) -> None:
    """Makes the two sources where there are none."""
    from poolctl.sandbox.sources import ensure_sources
    from poolctl.stack.mtls import certificates_of
    from poolkit.rpc.callers import OPERATOR

    await ensure_sources(
        wiring.address("webhook-ingest.grpc"),
        wiring.secrets.settlement_source_secret,
        wiring.secrets.bank_source_secret,
        certificates_of(wiring.layout, OPERATOR),
    )
