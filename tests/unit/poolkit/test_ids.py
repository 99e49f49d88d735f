"""Ids say what they name, sort as they were minted, never repeat, and derive from what they identify."""

import hashlib
import os
import re
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolkit import ids

CROCKFORD = "[0-9A-HJKMNP-TV-Z]"
plain_prefixes = st.sampled_from(sorted(set(ids.PREFIXES) - ids.MODED_PREFIXES))
parts = st.lists(st.text(max_size=20).filter(lambda text: "\x1f" not in text), min_size=1, max_size=4)


def test_the_contracts_prefixes_are_all_there() -> None:
    assert {"org", "key", "req", "pq", "pt", "evt", "whe", "whd", "ledger", "le", "hold", "close"} <= set(ids.PREFIXES)


@given(plain_prefixes)
def test_id_is_its_prefix_and_a_ulid(prefix: str) -> None:
    assert re.fullmatch(rf"{prefix}_[0-7]{CROCKFORD}{{25}}", ids.new_id(prefix))


@given(plain_prefixes)
def test_ids_are_found_by_when_they_were_minted(prefix: str) -> None:
    moment = datetime.now(UTC)
    minted = ids.new_id(prefix)
    assert ids.first_id(prefix, moment) <= minted < ids.first_id(prefix, moment + timedelta(minutes=1))
    assert len(ids.first_id(prefix, moment)) == len(minted)


@pytest.mark.parametrize("prefix", sorted(ids.MODED_PREFIXES))
def test_test_ids_of_quotes_and_trades_can_never_be_taken_for_live_ones(prefix: str) -> None:
    assert re.fullmatch(rf"{prefix}_test_{CROCKFORD}{{26}}", ids.new_id(prefix, "test"))
    assert re.fullmatch(rf"{prefix}_{CROCKFORD}{{26}}", ids.new_id(prefix, "live"))
    for mode in (None, "", "TEST", "sandbox"):
        with pytest.raises(ValueError, match="needs the mode"):
            ids.new_id(prefix, mode)


def test_other_kinds_carry_no_mode_and_unknown_kinds_do_not_exist() -> None:
    with pytest.raises(ValueError, match="carries no mode"):
        ids.new_id("req", "test")
    with pytest.raises(ValueError, match="No id starts with"):
        ids.new_id("user")
    with pytest.raises(ValueError, match="No id starts with"):
        ids.derived_id("user", "x")


def test_ids_sort_as_they_were_minted_and_never_repeat() -> None:
    minted = [ids.new_id("req") for _ in range(50_000)]
    assert minted == sorted(minted)
    assert len(set(minted)) == len(minted)


def test_id_carries_the_millisecond_it_was_minted_in() -> None:
    before = time.time_ns() // 1_000_000
    ulid = ids.new_id("evt").removeprefix("evt_")
    after = time.time_ns() // 1_000_000
    milliseconds = 0
    for character in ulid[:10]:
        milliseconds = milliseconds * 32 + "0123456789ABCDEFGHJKMNPQRSTVWXYZ".index(character)
    assert before <= milliseconds <= after


def test_ids_go_on_rising_when_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    latest = ids.new_id("req")
    monkeypatch.setattr(time, "time_ns", lambda: 1_000_000_000)
    for _ in range(100):
        earlier, latest = latest, ids.new_id("req")
        assert latest > earlier


def test_threads_never_mint_the_same_id() -> None:
    minted: list[list[str]] = [[] for _ in range(4)]
    threads = [
        threading.Thread(target=lambda mine=mine: mine.extend(ids.new_id("le") for _ in range(5_000)))
        for mine in minted
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one for mine in minted for one in mine}) == 20_000


def test_forked_children_never_mint_the_same_id() -> None:
    # The clock stands still, so that only what follows it can tell the children apart.
    program = """
import os, time
from poolkit import ids
now = time.time_ns()
time.time_ns = lambda: now
ids.new_id("req")
for _ in range(2):
    if os.fork() == 0:
        os.write(1, (ids.new_id("req") + "\\n").encode())
        os._exit(0)
os.wait(), os.wait()
print(ids.new_id("req"), flush=True)
"""
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ)
    assert len(set(answer.stdout.split())) == 3


@given(plain_prefixes, parts)
def test_derived_id_is_the_same_for_the_same_parts(prefix: str, parts: list[str]) -> None:
    derived = ids.derived_id(prefix, *parts)
    assert derived == ids.derived_id(prefix, *parts)
    assert re.fullmatch(rf"{prefix}_{CROCKFORD}{{26}}", derived)


@given(parts, parts)
def test_derived_ids_of_different_parts_differ(left: list[str], right: list[str]) -> None:
    assert (ids.derived_id("hold", *left) == ids.derived_id("hold", *right)) == (left == right)


def test_derived_id_is_the_head_of_the_parts_sha256() -> None:
    # Worked out once by hand; ledgers are compared by these ids, so the derivation may never change.
    bits = int.from_bytes(hashlib.sha256(b"pt_test_01\x1fsettled").digest()) >> (256 - 130)
    text = "".join("0123456789ABCDEFGHJKMNPQRSTVWXYZ"[bits >> shift & 31] for shift in range(125, -1, -5))
    assert ids.derived_id("ledger", "pt_test_01", "settled") == f"ledger_{text}"
    assert ids.derived_id("pt", "x", mode="test").startswith("pt_test_")


@pytest.mark.parametrize("ambiguous", [(), ("a\x1fb",), ("a", "\x1f")])
def test_parts_that_could_collide_are_refused(ambiguous: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="could collide"):
        ids.derived_id("hold", *ambiguous)


def test_event_id_is_the_sha256_that_partners_can_compute_too() -> None:
    expected = hashlib.sha256(b"pt_test_01:pool.transaction.settled").hexdigest()
    assert ids.event_id("pt_test_01", "pool.transaction.settled") == expected


@pytest.mark.parametrize("own", ["a", "A-1_2.3", "x" * 128])
def test_request_keeps_an_id_of_its_own(own: str) -> None:
    assert ids.accept_request_id(own) == own


@pytest.mark.parametrize("unfit", [None, "", "x" * 129, "a b", "a\n", "ä", "a/b"])
def test_request_with_no_fit_id_gets_a_new_one(unfit: str | None) -> None:
    assert re.fullmatch(rf"req_{CROCKFORD}{{26}}", ids.accept_request_id(unfit))
