"""Keys, signatures and secrets at rest: how they are made, compared, verified and kept.

Source: contract sections 4 and 7, architecture section 7.
"""

import base64
import hashlib
import hmac
import re
import secrets as randomness
import time
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, Literal

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from standardwebhooks import Webhook, WebhookVerificationError

from poolkit.errors import SignatureInvalid, TimestampStale

KEY_PATTERN: Final = re.compile(r"^(pk|sk)_(test|live)_[A-Za-z0-9]+\Z")
"""What an API key looks like; groups are kind and mode. Whether it is one, the checksum and the store say."""

SIGNATURE_TOLERANCE_SECONDS: Final = 300

_BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_KEY_RANDOM_LENGTH: Final = 32
_CHECKSUM_LENGTH: Final = 6
_SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - the prefix is public
_SIGNATURES_MAX: Final = 16


def new_api_key(kind: Literal["pk", "sk"], mode: Literal["test", "live"]) -> str:
    """Mint a key: prefix, 190 random bits, and a checksum that tells a leaked key from noise. Show it once."""
    stem = f"{kind}_{mode}_" + "".join(randomness.choice(_BASE62) for _ in range(_KEY_RANDOM_LENGTH))
    return stem + _key_checksum(stem)


def key_checksum_ok(key: str) -> bool:
    """Whether this was minted as a key, in any mode or stack; decided offline, without knowing any key."""
    if KEY_PATTERN.match(key) is None or len(key) != len("sk_test_") + _KEY_RANDOM_LENGTH + _CHECKSUM_LENGTH:
        return False
    return _key_checksum(key[:-_CHECKSUM_LENGTH]) == key[-_CHECKSUM_LENGTH:]


def _key_checksum(stem: str) -> str:
    number, digits = zlib.crc32(stem.encode()), ""
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, 62)
        digits = _BASE62[digit] + digits
    return digits


def hash_key(key: str, pepper: bytes) -> bytes:
    """The keyed hash that is stored in a key's place: HMAC-SHA256, useless to whoever has the rows alone."""
    return hmac.digest(pepper, key.encode(), "sha256")


class KeyHash:
    """`hash_key` for many keys: what HMAC makes of the pepper is made once."""

    __slots__ = ("_peppered",)

    def __init__(self, pepper: bytes) -> None:
        self._peppered = hmac.new(pepper, digestmod="sha256")

    def __call__(self, key: str) -> bytes:
        """The same as `hash_key`."""
        hashing = self._peppered.copy()
        hashing.update(key.encode())
        return hashing.digest()


def constant_time_equal(left: str | bytes, right: str | bytes) -> bool:
    """Compare without telling by the time it takes how much of it agrees."""
    left_bytes = left.encode() if isinstance(left, str) else left
    right_bytes = right.encode() if isinstance(right, str) else right
    return hmac.compare_digest(left_bytes, right_bytes)


def new_webhook_secret() -> str:
    """Mint a webhook secret: `whsec_` and the base64 of 32 random bytes."""
    return _SECRET_PREFIX + base64.b64encode(randomness.token_bytes(32)).decode()


def sign_standard(secrets: Sequence[str], id: str, timestamp: int, body: bytes) -> dict[str, str]:  # noqa: A002 - the scheme's own name
    """The three Standard Webhooks headers, with one signature per secret in force. `timestamp` is Unix seconds."""
    moment = datetime.fromtimestamp(timestamp, UTC)
    text = body.decode()
    return {
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(Webhook(secret).sign(id, moment, text) for secret in secrets),
    }


def verify_standard(secrets: Sequence[str], headers: Mapping[str, str], body: bytes) -> None:
    """Return when any secret in force verifies the raw body; header names in any case; 300 s tolerance.

    Raises TimestampStale or SignatureInvalid, the latter too when anything about the headers or body is malformed.
    """
    received = {name.lower(): value for name, value in headers.items()}
    if not received.get("webhook-id") or "webhook-timestamp" not in received:
        raise SignatureInvalid
    if received.get("webhook-signature", "").count(" ") >= _SIGNATURES_MAX:
        raise SignatureInvalid
    _require_fresh(received["webhook-timestamp"], None)
    for secret in secrets:
        try:
            Webhook(secret).verify(body, received, json_parse=False)
        except (WebhookVerificationError, ValueError):
            # ValueError: not base64, not UTF-8, a signature without a version. None of it was signed by this secret.
            continue
        return
    raise SignatureInvalid


def pools_signature(secrets: Sequence[str], timestamp: int, body: bytes) -> str:
    """`t=<unix>,v1=<hex>[,v1=<hex>]`: HMAC-SHA256 of `t.body`, keyed with each whole secret string."""
    return ",".join([f"t={timestamp}", *(f"v1={_timed_hex(secret, str(timestamp), body)}" for secret in secrets)])


def verify_pools_signature(secrets: Sequence[str], header: str, body: bytes, *, now: float | None = None) -> None:
    """Return when any `v1` of the header is the body's under any secret in force; raises as `verify_standard` does."""
    fields = [part.strip().partition("=")[::2] for part in header.split(",", _SIGNATURES_MAX + 1)]
    timestamps = [value for name, value in fields if name == "t"]
    if len(timestamps) != 1 or len(fields) > _SIGNATURES_MAX:
        raise SignatureInvalid
    _require_fresh(timestamps[0], now)
    expected = [_timed_hex(secret, timestamps[0], body) for secret in secrets]
    _require_match(expected, [value for name, value in fields if name == "v1"])


def verify_hex_signature(secrets: Sequence[str], value: str, body: bytes) -> None:
    """Return when `value`, maybe led by `sha256=`, is the body's hex HMAC-SHA256 under any secret in force.

    This scheme signs no time, so freshness and repeats are the event id's business. Raises SignatureInvalid.
    """
    expected = [hmac.new(secret.encode(), body, hashlib.sha256).hexdigest() for secret in secrets]
    _require_match(expected, [value.strip().removeprefix("sha256=").lower()])


def _timed_hex(secret: str, timestamp: str, body: bytes) -> str:
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _require_fresh(timestamp: str, now: float | None) -> None:
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 12):
        raise TimestampStale
    if abs((time.time() if now is None else now) - int(timestamp)) > SIGNATURE_TOLERANCE_SECONDS:
        raise TimestampStale


def _require_match(expected: Sequence[str], received: Sequence[str]) -> None:
    # Every pair is compared, so that the time taken does not tell which secret it was.
    if not sum(constant_time_equal(left, right) for left in expected for right in received):
        raise SignatureInvalid


class Cipher:
    """Encrypts secrets that must be read again, such as those we sign with, before they are stored (Fernet).

    `key` is one Fernet key, or several with commas while it is rotated: the first encrypts, all decrypt.
    """

    def __init__(self, key: str) -> None:
        try:
            self._fernet = MultiFernet([Fernet(part.strip()) for part in key.split(",")])
        except ValueError:
            raise ValueError(
                "The encryption key is not 32 bytes in URL-safe base64; make one with new_encryption_key()."
            ) from None

    def encrypt(self, secret: str) -> bytes:
        """What may be stored; differs each time, also for the same secret."""
        return self._fernet.encrypt(secret.encode())

    def decrypt(self, stored: bytes | str) -> str:
        """The secret again. Raises ValueError when no key decrypts it: it was stored under another one, or altered."""
        try:
            return self._fernet.decrypt(stored).decode()
        except InvalidToken:
            raise ValueError(
                "A stored secret cannot be decrypted: it was altered, or its encryption key is not configured here."
            ) from None


def new_encryption_key() -> str:
    """Mint a key for `Cipher`."""
    return Fernet.generate_key().decode()
