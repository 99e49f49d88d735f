"""Owns the names under which the simulated world posts webhooks: webhook-ingest knows each by its secret."""

from typing import Final

SETTLEMENT_SOURCE: Final = "sandbox-settlement"
"""Reports on trades; every `trade.*` kind."""

BANK_SOURCE: Final = "sandbox-bank"
"""Tells of money received; `payin.credited`."""
