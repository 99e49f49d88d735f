"""Keys in files: what cannot sign is refused without a word of what is in it, and only told keys are trusted."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from ledger.outbound.signing_key import SigningKey, UnusableKey, load_signing_key, load_trusted_keys
from poolctl.stack.secrets import ensure_signing_key

PEM, PKCS8 = Encoding.PEM, PrivateFormat.PKCS8


def public_pem(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(PEM, PublicFormat.SubjectPublicKeyInfo)


def test_dev_key_is_made_once_closed_to_others_and_signs(tmp_path: Path) -> None:
    file = tmp_path / "close-signing-key.pem"
    ensure_signing_key(file)
    content = file.read_bytes()
    assert file.stat().st_mode & 0o777 == 0o600
    ensure_signing_key(file)
    assert file.read_bytes() == content

    key = load_signing_key(file)
    trusted = load_trusted_keys(None, key)
    assert trusted.is_signed(key.key_id, b"text", key.sign(b"text"))
    assert not trusted.is_signed(key.key_id, b"other", key.sign(b"text"))
    assert not trusted.is_signed("0" * 16, b"text", key.sign(b"text"))
    assert repr(key) == f"SigningKey({key.key_id})"


def test_file_that_cannot_sign_is_refused_without_its_content(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    contents = {
        "nonsense.pem": b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n",
        "empty.pem": b"",
        "public.pem": public_pem(key),
        "password.pem": key.private_bytes(PEM, PKCS8, BestAvailableEncryption(b"secret")),
        "curve.pem": generate_private_key(SECP256R1()).private_bytes(PEM, PKCS8, NoEncryption()),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    for name in (*contents, "missing.pem"):
        with pytest.raises(UnusableKey, match=name) as refused:
            load_signing_key(tmp_path / name)
        assert "c2Vj" not in str(refused.value)
        assert refused.value.__cause__ is None


def test_retired_keys_are_trusted_from_their_directory_and_from_nowhere_else(tmp_path: Path) -> None:
    retired, now, strange = (Ed25519PrivateKey.generate() for _ in range(3))
    (tmp_path / "2025.pem").write_bytes(public_pem(retired))
    trusted = load_trusted_keys(tmp_path, SigningKey(now))
    for key, counts in ((retired, True), (now, True), (strange, False)):
        signing = SigningKey(key)
        assert trusted.is_signed(signing.key_id, b"text", signing.sign(b"text")) is counts
        assert trusted.is_known(signing.key_id) is counts
    (tmp_path / "wrong.pem").write_bytes(b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
    with pytest.raises(UnusableKey, match=r"wrong\.pem"):
        load_trusted_keys(tmp_path, None)
