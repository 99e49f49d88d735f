"""What the ledger service can be told."""

from pathlib import Path

from pydantic import Field

from poolkit.settings import ServiceSettings


class LedgerSettings(ServiceSettings):
    """The common settings, and where the keys lie that sign chain heads: the ledger calls nobody."""

    close_signing_key_file: Path | None = Field(
        default=None, description="the PEM file of the Ed25519 private key that signs chain heads at closes"
    )
    close_public_keys_directory: Path | None = Field(
        default=None, description="a directory with the public keys, one *.pem each, that signed before and still count"
    )
