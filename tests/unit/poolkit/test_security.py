"""Keys can be told from noise and are stored as hashes; webhooks verify with what partners have off the shelf."""

import base64
import hashlib
import hmac
import json
import time

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from poolkit import security
from poolkit.errors import SignatureInvalid, TimestampStale

BODY = json.dumps({"eventId": "e1", "type": "pool.transaction.settled", "note": "größer"}, ensure_ascii=False).encode()


# Keys


@pytest.mark.parametrize("kind", ["pk", "sk"])
@pytest.mark.parametrize("mode", ["test", "live"])
def test_key_says_its_kind_and_mode_and_checks_out(kind: str, mode: str) -> None:
    key = security.new_api_key(kind, mode)  # type: ignore[arg-type]
    match = security.KEY_PATTERN.match(key)
    assert match is not None
    assert match.groups() == (kind, mode)
    assert security.key_checksum_ok(key)


@given(st.integers(0, 45), st.sampled_from("0aZ9x_-"))
def test_key_with_any_character_changed_is_noise(position: int, character: str) -> None:
    key = security.new_api_key("sk", "test")
    altered = key[:position] + character + key[position + 1 :]
    assert security.key_checksum_ok(altered) == (altered == key)


@pytest.mark.parametrize(
    "noise", ["", "sk_test_", "sk_test_" + "a" * 38, "xx_test_" + "a" * 38, "sk_prod_abc", "sk_test_ä"]
)
def test_what_only_looks_like_a_key_is_noise(noise: str) -> None:
    assert not security.key_checksum_ok(noise)


def test_key_with_something_behind_it_is_noise() -> None:
    key = security.new_api_key("sk", "live")
    assert not security.key_checksum_ok(key + "\n")
    assert not security.key_checksum_ok(key + "a")
    assert not security.key_checksum_ok(key[:-1])
    assert security.KEY_PATTERN.match(key + "\n") is None


def test_keys_never_repeat() -> None:
    assert len({security.new_api_key("sk", "test") for _ in range(1_000)}) == 1_000


def test_stored_hash_is_keyed_with_the_pepper() -> None:
    key = security.new_api_key("sk", "test")
    assert security.hash_key(key, b"pepper") == hmac.new(b"pepper", key.encode(), hashlib.sha256).digest()
    assert security.hash_key(key, b"pepper") != security.hash_key(key, b"other")
    many = security.KeyHash(b"pepper")
    assert [many(key), many("sk_test_other"), many(key)] == [
        security.hash_key(one, b"pepper") for one in (key, "sk_test_other", key)
    ]


def test_comparing_takes_text_and_bytes() -> None:
    assert security.constant_time_equal("größer", "größer".encode())
    assert not security.constant_time_equal("a", "b")
    assert not security.constant_time_equal(b"a", b"aa")


# Standard Webhooks


def test_webhook_verifies_with_the_verifier_off_the_shelf() -> None:
    secret = security.new_webhook_secret()
    assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32
    headers = security.sign_standard([secret], "e1", int(time.time()), BODY)
    assert standardwebhooks.Webhook(secret).verify(BODY, headers) == json.loads(BODY)


def test_webhook_verifies_with_each_secret_while_one_is_rotated() -> None:
    old, new, foreign = (security.new_webhook_secret() for _ in range(3))
    headers = security.sign_standard([new, old], "e1", int(time.time()), BODY)
    for secret in (old, new):
        standardwebhooks.Webhook(secret).verify(BODY, headers)
        security.verify_standard([foreign, secret], headers, BODY)
    with pytest.raises(SignatureInvalid):
        security.verify_standard([foreign], headers, BODY)


def test_webhook_headers_count_in_any_case() -> None:
    secret = security.new_webhook_secret()
    headers = security.sign_standard([secret], "e1", int(time.time()), BODY)
    security.verify_standard([secret], {name.title(): value for name, value in headers.items()}, BODY)


@pytest.mark.parametrize("changed", ["webhook-id", "webhook-timestamp", "webhook-signature", "body", "no secrets"])
def test_webhook_with_anything_changed_is_refused(changed: str) -> None:
    secret = security.new_webhook_secret()
    now = int(time.time())
    headers, body, secrets = security.sign_standard([secret], "e1", now, BODY), BODY, [secret]
    match changed:
        case "body":
            body = BODY.replace(b"e1", b"e2")
        case "no secrets":
            secrets = []
        case "webhook-timestamp":
            headers[changed] = str(now - 1)
        case "webhook-signature":
            # Not the last character, some of whose bits are none of the signature's.
            headers[changed] = headers[changed].replace("v1,", "v1,A" if headers[changed][3] != "A" else "v1,B", 1)
        case _:
            headers[changed] = "e2"
    with pytest.raises(SignatureInvalid):
        security.verify_standard(secrets, headers, body)


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_webhook_without_one_of_its_headers_is_refused(missing: str) -> None:
    secret = security.new_webhook_secret()
    headers = security.sign_standard([secret], "e1", int(time.time()), BODY)
    del headers[missing]
    with pytest.raises(SignatureInvalid):
        security.verify_standard([secret], headers, BODY)


@pytest.mark.parametrize("signature", ["", "v1", "v1,", "v1,ä", "v1,%%%", "v2,AAAA", ",", "a,b,c", "v1,AAAA " * 40])
def test_malformed_signature_is_refused_and_breaks_nothing(signature: str) -> None:
    headers = {"webhook-id": "e1", "webhook-timestamp": str(int(time.time())), "webhook-signature": signature}
    with pytest.raises(SignatureInvalid):
        security.verify_standard([security.new_webhook_secret()], headers, BODY)


def test_body_that_is_not_text_is_refused_and_breaks_nothing() -> None:
    secret = security.new_webhook_secret()
    headers = security.sign_standard([secret], "e1", int(time.time()), BODY)
    with pytest.raises(SignatureInvalid):
        security.verify_standard([secret], headers, b"\xff\xfe")


@pytest.mark.parametrize("offset", [-310, 310, -86_400])
def test_webhook_out_of_its_time_is_refused_though_rightly_signed(offset: int) -> None:
    secret = security.new_webhook_secret()
    headers = security.sign_standard([secret], "e1", int(time.time()) + offset, BODY)
    with pytest.raises(TimestampStale):
        security.verify_standard([secret], headers, BODY)


@pytest.mark.parametrize("offset", [-290, 290])
def test_webhook_within_its_tolerance_is_accepted(offset: int) -> None:
    secret = security.new_webhook_secret()
    security.verify_standard([secret], security.sign_standard([secret], "e1", int(time.time()) + offset, BODY), BODY)


@pytest.mark.parametrize("timestamp", ["", "soon", "nan", "1e9", "-1", "1.5", "٣", "9" * 40])
def test_timestamp_that_is_no_unix_time_is_refused(timestamp: str) -> None:
    secret = security.new_webhook_secret()
    headers = security.sign_standard([secret], "e1", int(time.time()), BODY) | {"webhook-timestamp": timestamp}
    with pytest.raises(TimestampStale):
        security.verify_standard([secret], headers, BODY)


# Pools-Signature


def plain_hmac(secret: str, timestamp: int, body: bytes) -> str:
    """What a partner computes with nothing but a standard library."""
    return hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


def test_pools_signature_is_a_plain_hmac_keyed_with_the_whole_secret() -> None:
    secret, now = security.new_webhook_secret(), int(time.time())
    assert security.pools_signature([secret], now, BODY) == f"t={now},v1={plain_hmac(secret, now, BODY)}"


def test_pools_signature_verifies_with_each_secret_while_one_is_rotated() -> None:
    old, new, foreign = (security.new_webhook_secret() for _ in range(3))
    header = security.pools_signature([new, old], 1_000, BODY)
    assert header == f"t=1000,v1={plain_hmac(new, 1_000, BODY)},v1={plain_hmac(old, 1_000, BODY)}"
    for secret in (old, new):
        security.verify_pools_signature([foreign, secret], header, BODY, now=1_000)
    for secrets in ([foreign], []):
        with pytest.raises(SignatureInvalid):
            security.verify_pools_signature(secrets, header, BODY, now=1_000)


@pytest.mark.parametrize(("now", "fresh"), [(700, True), (1_300, True), (699, False), (1_301, False)])
def test_pools_signature_holds_for_300_seconds(now: int, fresh: bool) -> None:
    header = security.pools_signature(["whsec_x"], 1_000, BODY)
    if fresh:
        security.verify_pools_signature(["whsec_x"], header, BODY, now=now)
    else:
        with pytest.raises(TimestampStale):
            security.verify_pools_signature(["whsec_x"], header, BODY, now=now)


@pytest.mark.parametrize(
    "header", ["", "t=1000", "v1=abc", "t=1000,v1=ä", "t=1000,t=1000,v1=x", "t=1000" + ",v1=a" * 50]
)
def test_malformed_pools_signature_is_refused(header: str) -> None:
    with pytest.raises(SignatureInvalid):
        security.verify_pools_signature(["whsec_x"], header, BODY, now=1_000)


def test_pools_signature_of_another_body_is_refused() -> None:
    header = security.pools_signature(["whsec_x"], 1_000, BODY)
    with pytest.raises(SignatureInvalid):
        security.verify_pools_signature(["whsec_x"], header, BODY + b" ", now=1_000)


@pytest.mark.parametrize("write", [str, str.upper, "sha256={}".format])
def test_plain_hex_signature_is_understood_as_providers_write_it(write: object) -> None:
    value = hmac.new(b"shared", BODY, hashlib.sha256).hexdigest()
    assert callable(write)
    security.verify_hex_signature(["other", "shared"], write(value), BODY)
    with pytest.raises(SignatureInvalid):
        security.verify_hex_signature(["other"], write(value), BODY)
    with pytest.raises(SignatureInvalid):
        security.verify_hex_signature(["shared"], "", BODY)


# Secrets at rest


@given(st.text())
def test_secret_at_rest_can_be_read_again_with_its_key_alone(secret: str) -> None:
    key = security.new_encryption_key()
    stored = security.Cipher(key).encrypt(secret)
    assert security.Cipher(key).decrypt(stored) == secret
    assert security.Cipher(key).decrypt(stored.decode()) == secret
    with pytest.raises(ValueError, match="cannot be decrypted"):
        security.Cipher(security.new_encryption_key()).decrypt(stored)


def test_encryption_key_can_be_rotated() -> None:
    old, new = security.new_encryption_key(), security.new_encryption_key()
    stored = security.Cipher(old).encrypt("whsec_x")
    both = security.Cipher(f"{new}, {old}")
    assert both.decrypt(stored) == "whsec_x"
    assert security.Cipher(new).decrypt(both.encrypt("whsec_x")) == "whsec_x"


def test_altered_secret_at_rest_is_refused() -> None:
    cipher = security.Cipher(security.new_encryption_key())
    stored = bytearray(cipher.encrypt("whsec_x"))
    stored[20] ^= 1
    with pytest.raises(ValueError, match="cannot be decrypted"):
        cipher.decrypt(bytes(stored))


def test_cipher_shows_no_key_and_refuses_what_is_none() -> None:
    key = security.new_encryption_key()
    assert key not in repr(security.Cipher(key))
    with pytest.raises(ValueError, match="not 32 bytes") as refused:
        security.Cipher("swordfish")
    assert "swordfish" not in str(refused.value)
