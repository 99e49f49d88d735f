"""What a program is told of its identity: its certificate, its key and the CA of its colleagues, all three or none."""

from pathlib import Path
from typing import Final

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings

_VARIABLES: Final = {
    "tls_certificate_file": "POOLS_TLS_CERTIFICATE_FILE",
    "tls_key_file": "POOLS_TLS_KEY_FILE",
    "tls_ca_file": "POOLS_TLS_CA_FILE",
}


class TlsSettings(BaseSettings):
    """With all three, calls between services are mutual TLS; with none they are plaintext, for loopback only."""

    tls_certificate_file: Path | None = Field(
        default=None,
        description="the PEM file of this program's certificate; read again when it changes, like the two below",
    )
    tls_key_file: Path | None = Field(default=None, description="the PEM file of its private key")
    tls_ca_file: Path | None = Field(
        default=None, description="the PEM file of the CA, or of several, that colleagues' certificates must come from"
    )

    @model_validator(mode="after")
    def _all_or_none(self) -> "TlsSettings":
        missing = [variable for field, variable in _VARIABLES.items() if getattr(self, field) is None]
        if missing and len(missing) < len(_VARIABLES):
            given = ", ".join(variable for variable in _VARIABLES.values() if variable not in missing)
            raise ValueError(
                f"{given} without {' and '.join(missing)} proves nothing to anybody; set all three, or none of them."
            )
        return self

    @property
    def has_identity(self) -> bool:
        """Whether this program can prove who it is, and asks the same of whoever calls it."""
        return self.tls_certificate_file is not None
