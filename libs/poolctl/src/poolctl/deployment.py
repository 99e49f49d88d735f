"""Owns how poolctl is told of a deployment elsewhere: a folder with `deployment.json` in place of a stack's data."""

import json
from typing import Any, Final

from poolctl.failure import CommandFailure
from poolctl.stack.layout import Layout

SERVICES: Final = ("gateway", "quote", "trade", "webhook-ingest", "ledger")
_NEEDED: Final = {"mode", "services"}
_KNOWN: Final = _NEEDED | {"kafka", "rest", "grpc", "webhooks"}


def read(layout: Layout) -> dict[str, Any] | None:
    """What the file says, in the words of `poolctl up --json`; None where there is none: a stack of one's own."""
    file = layout.deployment_file
    if not file.exists():
        return None
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as failure:
        raise CommandFailure(f"{file} cannot be read as JSON: {failure}.") from failure
    if wrong := _wrong(told):
        raise CommandFailure(
            f"{file} does not say where the deployment is: {wrong}. docs/runbooks/README.md shows one."
        )
    nothing = {"kafka": "", "rest": "", "grpc": "", "webhooks": "", "databases": {}, "adminDatabases": {}}
    return {**nothing, **told, "dataDir": str(layout.data_dir)}


def refuse(layout: Layout, instead: str) -> None:
    """Fails where the folder is about a deployment: what was asked for needs the files of a stack of one's own."""
    if layout.deployment_file.exists():
        raise CommandFailure(
            f"{layout.data_dir} is about a deployment, and this is for a stack on this machine. {instead}"
        )


def _wrong(told: Any) -> str:
    if not isinstance(told, dict):
        return "it is to be an object"
    if missing := sorted(_NEEDED - told.keys()):
        return f"{', '.join(missing)} is missing"
    if unknown := sorted(told.keys() - _KNOWN):
        return f"{', '.join(unknown)} means nothing"
    if told["mode"] not in ("test", "live"):
        return "mode is to be test or live"
    services = told["services"]
    if not isinstance(services, dict) or set(services) != set(SERVICES):
        return f"services is to have an address for each of {', '.join(SERVICES)}"
    return ""
