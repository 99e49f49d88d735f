"""Owns the secrets of a dev stack: made at its first start, kept in one file that only its owner can read."""

import base64
import json
import os
import secrets
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path


def _encryption_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


def _webhook_secret() -> str:
    return "whsec_" + base64.b64encode(os.urandom(32)).decode()


@dataclass(frozen=True, slots=True, repr=False)
class DevSecrets:
    """Given to processes by environment, to nobody by output. Losing the file makes stored secrets unreadable."""

    key_pepper: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    gateway_encryption_key: str = field(default_factory=_encryption_key)
    webhook_ingest_encryption_key: str = field(default_factory=_encryption_key)
    settlement_source_secret: str = field(default_factory=_webhook_secret)
    bank_source_secret: str = field(default_factory=_webhook_secret)

    @classmethod
    def load_or_create(cls, file: Path) -> "DevSecrets":
        """The stack's secrets; those that a newer version needs besides are added."""
        known: dict[str, str] = {}
        if file.exists():
            names = {item.name for item in fields(cls)}
            known = {name: value for name, value in json.loads(file.read_text()).items() if name in names}
        loaded = cls(**known)
        if asdict(loaded) != known:
            write_privately(file, json.dumps(asdict(loaded), indent=1))
        return loaded


def ensure_signing_key(file: Path) -> None:
    """Makes the Ed25519 key that signs the ledger's chain heads, where there is none yet. It is never replaced."""
    if file.exists():
        return
    # Imported here: needed at a stack's first start only.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_privately(file, key.decode())


def write_privately(file: Path, content: str) -> None:
    """Writes the file whole or not at all, readable by its owner only from its first moment."""
    partial = file.with_name(file.name + ".partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as target:
        target.write(content)
    partial.replace(file)
