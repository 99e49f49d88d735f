"""Makes what compose.yaml needs and nobody keeps in a repository: passwords, secrets and a signing key, once.

python3 deploy/compose/environment.py              writes deploy/.env and deploy/.secrets, unless they are there
python3 deploy/compose/environment.py DIRECTORY    writes them there
"""

import base64
import os
import secrets
import sys
from pathlib import Path

# What precedes the 32 bytes of an Ed25519 private key in PKCS #8 (RFC 8410).
PKCS8_ED25519 = bytes.fromhex("302e020100300506032b657004220420")


def key() -> str:
    """A Fernet key."""
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


def webhook_secret() -> str:
    """What a source signs with."""
    return "whsec_" + base64.b64encode(os.urandom(32)).decode()


def signing_key() -> str:
    """An Ed25519 private key as PEM."""
    body = base64.b64encode(PKCS8_ED25519 + os.urandom(32)).decode()
    return f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n"


def write(path: Path, content: str, mode: int) -> None:
    """Writes a file that is not there yet; one that is stays, since databases were made with it."""
    if path.exists():
        print(f"{path} is there and stays")
        return
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as target:
        target.write(content)
    print(f"{path} written")


def main(directory: Path) -> None:
    """Both files."""
    values = {
        "DATABASE_PASSWORD": secrets.token_urlsafe(24),
        "KEY_PEPPER": secrets.token_urlsafe(32),
        "GATEWAY_ENCRYPTION_KEY": key(),
        "WEBHOOK_INGEST_ENCRYPTION_KEY": key(),
        "SETTLEMENT_SOURCE_SECRET": webhook_secret(),
        "BANK_SOURCE_SECRET": webhook_secret(),
    }
    write(directory / ".env", "".join(f"{name}={value}\n" for name, value in values.items()), 0o600)
    hidden = directory / ".secrets"
    hidden.mkdir(mode=0o700, exist_ok=True)
    # The container's user reads it through a mount; on this machine the folder above keeps everyone else out.
    write(hidden / "close-signing-key.pem", signing_key(), 0o644)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1])
