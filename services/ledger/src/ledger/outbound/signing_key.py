"""Owns the keys that sign chain heads: read from files outside the database, so whoever owns it cannot sign for us."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from ledger.domain.heads import key_id_of

_FILE_BYTES_MAX: Final = 16_384


class UnusableKey(Exception):
    """A key file that cannot be used, told without anything that is in it."""

    def __init__(self, file: Path, why: str) -> None:
        super().__init__(f"The key file {file} cannot be used: {why}. Name an Ed25519 key in PEM.")


class SigningKey:
    """The private key that signs now. It never leaves this object, and its repr does not show it."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public_key = private.public_key().public_bytes_raw()
        self.key_id = key_id_of(self.public_key)

    def __repr__(self) -> str:
        return f"SigningKey({self.key_id})"

    def sign(self, text: bytes) -> bytes:
        """The Ed25519 signature of the text, 64 bytes; the same text always gets the same one."""
        return self._private.sign(text)


class TrustedKeys:
    """The public keys whose signatures count, by key id: whatever the database says, none is added from there."""

    def __init__(self, public_keys: Iterable[bytes]) -> None:
        self._keys = {key_id_of(raw): Ed25519PublicKey.from_public_bytes(raw) for raw in public_keys}

    @property
    def key_ids(self) -> list[str]:
        """Which keys are trusted, sorted."""
        return sorted(self._keys)

    def is_known(self, key_id: str) -> bool:
        """Whether signatures of this key can be checked at all."""
        return key_id in self._keys

    def is_signed(self, key_id: str, text: bytes, signature: bytes) -> bool:
        """Whether the key with this id made the signature of the text; False too where the key is not trusted."""
        key = self._keys.get(key_id)
        if key is None:
            return False
        try:
            key.verify(signature, text)
        except InvalidSignature:
            return False
        return True


def load_signing_key(file: Path) -> SigningKey:
    """The private key in a PEM file (PKCS #8, not encrypted). Raises UnusableKey."""
    try:
        private = load_pem_private_key(_content(file), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        # Not `from error`: what a parser says may quote what it read.
        raise UnusableKey(file, f"it is no private key without a password ({type(error).__name__})") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise UnusableKey(file, "it holds a key of another kind")
    return SigningKey(private)


def load_trusted_keys(directory: Path | None, signing_key: SigningKey | None) -> TrustedKeys:
    """The key that signs now and the retired ones, each a public key in a `*.pem` file of the directory."""
    public_keys = [signing_key.public_key] if signing_key else []
    for file in sorted(directory.glob("*.pem")) if directory else ():
        try:
            public = load_pem_public_key(_content(file))
        except (ValueError, UnsupportedAlgorithm) as error:
            raise UnusableKey(file, f"it is no public key ({type(error).__name__})") from None
        if not isinstance(public, Ed25519PublicKey):
            raise UnusableKey(file, "it holds a key of another kind")
        public_keys.append(public.public_bytes_raw())
    return TrustedKeys(public_keys)


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as source:
            return source.read(_FILE_BYTES_MAX)
    except OSError as error:
        raise UnusableKey(file, error.strerror or "it cannot be read") from None
