"""Protects the decisions: what a repeat is, when to try again and when to stop, and what a source may be."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolkit.errors import (
    DeadlineExceeded,
    DomainError,
    IllegalTransition,
    Internal,
    InvalidRequest,
    NotFound,
    Overloaded,
    Unavailable,
)
from poolkit.security import new_webhook_secret
from webhook_ingest.domain.events import TRADE_KINDS, Kind
from webhook_ingest.domain.processing import Ending, Retries, ending_for, ending_for_owner
from webhook_ingest.domain.repeats import Earlier, Repeat, judge
from webhook_ingest.domain.sources import Scheme, check_secret, new_source
from webhook_ingest.settings import WebhookIngestSettings

SAME, OTHER = Earlier("whe_1", b"same"), Earlier("whe_2", b"other")


@pytest.mark.parametrize(
    ("event", "payin", "expected"),
    [
        (SAME, None, (Repeat.SAME_EVENT, "whe_1")),
        (OTHER, None, (Repeat.EVENT_CONFLICT, "whe_2")),
        # The event id decides before the bank transaction does.
        (SAME, OTHER, (Repeat.SAME_EVENT, "whe_1")),
        (OTHER, SAME, (Repeat.EVENT_CONFLICT, "whe_2")),
        (None, SAME, (Repeat.SAME_PAYIN, "whe_1")),
        (None, OTHER, (Repeat.PAYIN_CONFLICT, "whe_2")),
        (None, None, None),
    ],
)
def test_what_came_before_decides_what_a_repeat_is(
    event: Earlier | None, payin: Earlier | None, expected: tuple[Repeat, str] | None
) -> None:
    assert judge(b"same", event=event, payin=payin) == expected


@pytest.mark.parametrize(
    ("error", "outcome", "refused", "counted"),
    [
        (Unavailable(), "retry", False, False),
        (DeadlineExceeded(), "retry", False, False),
        (Overloaded(), "retry", False, False),
        (NotFound(), "retry", True, True),
        (Internal(), "retry", True, False),
        (InvalidRequest(), "exception", False, False),
        (IllegalTransition(), "exception", False, False),
    ],
)
def test_silence_is_waited_out_a_no_is_counted_and_a_final_no_is_final(
    error: DomainError, outcome: str, refused: bool, counted: bool
) -> None:
    ending = ending_for(error)
    assert (ending.outcome, ending.refused, ending.counted) == (outcome, refused, counted)
    assert ending.detail == error.message


def test_only_not_found_says_that_a_reference_is_nobodys() -> None:
    assert ending_for_owner("org_1") == Ending("processed", effect="credited", organization_id="org_1")
    assert ending_for_owner(NotFound()) == Ending("processed", effect="credited", organization_id="unallocated")
    for error in (Internal(), InvalidRequest(), IllegalTransition()):
        assert ending_for_owner(error) == Ending("retry", detail=error.message, refused=True)


def test_what_nobody_sets_is_as_the_contract_has_it() -> None:
    fields = WebhookIngestSettings.model_fields
    assert fields["refused_age_seconds_max"].default == 24 * 3600
    assert fields["rejected_days"].default == 30
    assert fields["reserved_seconds_max"].default == 10 * 60


@given(attempt=st.integers(1, 10_000))
def test_pauses_grow_and_stay_within_their_bounds(attempt: int) -> None:
    retries = Retries(seconds_min=0.5, seconds_max=60.0, refusals_max=20, age_seconds_max=1.0)
    pause, next_pause = retries.delay_seconds(attempt), retries.delay_seconds(attempt + 1)
    assert 0.5 <= pause <= next_pause <= 60.0


def test_the_first_pauses_double() -> None:
    retries = Retries(seconds_min=0.5, seconds_max=60.0, refusals_max=20, age_seconds_max=1.0)
    assert [retries.delay_seconds(attempt) for attempt in range(1, 9)] == [0.5, 1, 2, 4, 8, 16, 32, 60]


def test_a_source_without_kinds_may_send_every_kind_about_trades_and_no_payins() -> None:
    assert new_source("acme", [], Scheme.STANDARD, "").kinds == TRADE_KINDS
    assert new_source("acme", ["payin.credited"], Scheme.STANDARD, "").kinds == (Kind.PAYIN_CREDITED,)


def test_a_scheme_that_names_no_header_has_one_by_default() -> None:
    assert new_source("acme", [], Scheme.STANDARD, "").signature_header == ""
    assert new_source("acme", [], Scheme.HEX, "").signature_header == "webhook-signature"
    assert new_source("acme", [], Scheme.TIMED_HEX, "X-Acme-Signature").signature_header == "x-acme-signature"


@pytest.mark.parametrize(
    ("name", "kinds", "scheme", "header"),
    [
        ("", [], Scheme.STANDARD, ""),
        ("Acme", [], Scheme.STANDARD, ""),
        ("a/b", [], Scheme.STANDARD, ""),
        ("a:b", [], Scheme.STANDARD, ""),
        ("x" * 65, [], Scheme.STANDARD, ""),
        ("acme", ["trade.reserved"], Scheme.STANDARD, ""),
        ("acme", ["trade.*"], Scheme.STANDARD, ""),
        ("acme", [], Scheme.STANDARD, "x-signature"),
        ("acme", [], Scheme.HEX, "x signature"),
    ],
)
def test_a_source_that_does_not_fit_is_refused(name: str, kinds: list[str], scheme: Scheme, header: str) -> None:
    with pytest.raises(InvalidRequest):
        new_source(name, kinds, scheme, header)


@pytest.mark.parametrize(
    ("secret", "scheme"),
    [
        ("whsec_", Scheme.STANDARD),
        ("whsec_" + base64.b64encode(b"x" * 23).decode(), Scheme.STANDARD),
        ("whsec_" + base64.b64encode(b"x" * 65).decode(), Scheme.STANDARD),
        ("whsec_not base64", Scheme.STANDARD),
        ("whsec_é", Scheme.STANDARD),
        (base64.b64encode(b"x" * 32).decode(), Scheme.STANDARD),
        ("too-short", Scheme.HEX),
        ("with a space in it that is long", Scheme.TIMED_HEX),
    ],
)
def test_a_secret_that_is_weak_or_malformed_is_refused_without_showing_it(secret: str, scheme: Scheme) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_secret(secret, scheme)
    assert len(secret) < 8 or secret not in str(refused.value)


def test_secrets_that_fit_are_taken() -> None:
    check_secret(new_webhook_secret(), Scheme.STANDARD)
    check_secret("a-provider's-own-secret", Scheme.HEX)
