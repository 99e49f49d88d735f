"""What the ledger service can be told."""

from poolkit.settings import ServiceSettings


class LedgerSettings(ServiceSettings):
    """The common settings; the ledger calls nobody and needs no more."""
