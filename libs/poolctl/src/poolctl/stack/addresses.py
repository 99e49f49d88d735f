"""Owns what `poolctl up --json` answers: where everything of a stack is reached. Source: CONTRACT §12."""

from collections.abc import Sequence
from typing import Any

from poolctl.stack.databases import admin_url, runtime_url
from poolctl.stack.programs import Program, Wiring


def addresses_of(wiring: Wiring, programs: Sequence[Program]) -> dict[str, Any]:
    """The document; its URLs carry passwords of roles. What a stack of fewer programs lacks is null."""
    services = [program for program in programs if program.database is not None]
    known = {program.purpose(port) for program in programs for port in program.ports}

    def address(purpose: str, scheme: str = "") -> str | None:
        return scheme + wiring.address(purpose) if purpose in known else None

    # Only where the stack was asked for one.
    zipkin = {} if wiring.zipkin is None else {"zipkin": wiring.zipkin}
    return {
        "rest": address("gateway.partner_rest", "http://"),
        "grpc": address("gateway.partner_grpc"),
        "webhooks": address("webhook-ingest.webhook", "http://"),
        "services": {program.name: wiring.address(program.purpose("grpc")) for program in services},
        "databases": {program.name: runtime_url(wiring.postgres, str(program.database)) for program in services},
        "adminDatabases": {program.name: admin_url(wiring.postgres, str(program.database)) for program in services},
        "kafka": wiring.kafka.bootstrap,
        "dataDir": str(wiring.layout.data_dir),
        **zipkin,
    }
