"""Why an id that nobody knows can be none: another mode's, mistyped, a kind without a journey, or a secret."""

import time

import pytest

from gateway.domain.journey_ids import Why, fault_of, is_minted, is_secret, masked
from poolkit.ids import event_id

NOW_MS = int(time.time() * 1000)
# One that was minted once: tests are named after their ids, and a test's name must be the same in every process.
ULID = "01M8377ECNBYB9B7N4PEN232PR"
TRADE, LIVE = f"pt_test_{ULID}", f"pt_{ULID}"
EVENT = event_id(TRADE, "pool.transaction.settled")

MINTED = (
    *(f"{prefix}_{ULID}" for prefix in ("req", "evt", "whe", "whd", "ledger", "hold")),
    *(f"{prefix}_{mode}{ULID}" for prefix in ("pq", "pt") for mode in ("test_", "")),
    f"hold_test_{ULID}",
    f"le_{ULID}3",
    EVENT,
)
FAULTS = (
    (LIVE, Why.OTHER_MODE, "of live mode"),
    (f"pq_{ULID}", Why.OTHER_MODE, "quote"),
    (f"hold_{ULID}", Why.OTHER_MODE, "hold"),
    (TRADE[:-1], Why.MISTYPED, "has 25"),
    (f"{TRADE}4", Why.MISTYPED, "has 27"),
    (f"pt_test_{ULID[:-1]}O", Why.MISTYPED, f"`{ULID[:-1]}0` might be meant"),
    (TRADE[:8] + ULID.lower(), Why.MISTYPED, ULID),
    (f"pt_test_8{ULID[1:]}", Why.MISTYPED, "7 at most"),
    (f"pt_test_7{ULID[1:]}", Why.MISTYPED, "still to come"),
    (f"pt_live_{ULID}", Why.MISTYPED, "carry no `live_`"),
    (f"req_test_{ULID}", Why.MISTYPED, "same in both modes"),
    (f"le_{ULID}", Why.MISTYPED, "27 characters"),
    (f"le_{ULID}X", Why.MISTYPED, "number of the leg"),
    (f"ptt_{ULID}", Why.MISTYPED, "Was `pt_` meant?"),
    (f"xy_test_{ULID}", Why.MISTYPED, "no id of ours begins with `xy_`"),
    (EVENT[:-1], Why.MISTYPED, "has 63"),
    (EVENT.upper(), Why.MISTYPED, "capitals"),
    (f"org_{ULID}", Why.NOT_SEARCHABLE, "organization"),
    (f"close_{ULID}", Why.NOT_SEARCHABLE, "daily close"),
)


@pytest.mark.parametrize("minted", MINTED)
def test_what_services_mint_is_told_by_its_shape(minted: str) -> None:
    assert is_minted(minted)


@pytest.mark.parametrize(("wrong", "why", "words"), FAULTS)
def test_what_cannot_be_an_id_of_here_is_told_apart_with_a_sentence(wrong: str, why: Why, words: str) -> None:
    fault = fault_of(wrong, mode="test", now_ms=NOW_MS)
    assert fault is not None
    assert fault.why == why
    assert words in fault.sentence


def test_each_mode_calls_the_other_one_by_its_name() -> None:
    fault = fault_of(TRADE, mode="live", now_ms=NOW_MS)
    assert fault is not None
    assert fault.why == Why.OTHER_MODE
    assert "of test mode" in fault.sentence
    assert fault_of(LIVE, mode="live", now_ms=NOW_MS) is None


@pytest.mark.parametrize(
    "made_up",
    ["order 17", "mobile_checkout_123", "their-own-id", f"order_{ULID}", "bank_tx_01M8", "0xabc", "", "_", "pt", EVENT,
     "TQbenchbenchbenchbenchbenchbe0001", TRADE, "8f14e45fceea167a5a36dedd4bea2543"],
)  # fmt: skip
def test_what_partners_make_up_is_never_called_mistyped(made_up: str) -> None:
    assert fault_of(made_up, mode="test", now_ms=NOW_MS) is None
    assert is_minted(made_up) == (made_up in {TRADE, EVENT})


def test_a_key_or_secret_is_recognized_and_not_repeated() -> None:
    for secret in ("sk_test_abc123", " pk_live_xyz", "whsec_c2VjcmV0", "Bearer sk_live_abc"):
        assert is_secret(secret)
        assert len(masked(secret)) <= len("pk_live_…")
    assert not is_secret(TRADE)
    assert masked("sk_test_abc123") == "sk_test_…"
