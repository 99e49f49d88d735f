"""The gates: every row of the deny-closed table, in its order of precedence."""

from dataclasses import replace
from itertools import pairwise

import pytest

from gateway.domain.entitlement import (
    Entitlement,
    EntitlementStatus,
    KeyKind,
    KycStatus,
    Principal,
)
from gateway.domain.gates import Caller, pool_refusal, refusal_after_look_up, refusal_before_look_up
from poolkit.errors import (
    DomainError,
    KeyModeMismatch,
    KycNotApproved,
    NotFound,
    PoolAccessSuspended,
    PoolNotAllowed,
    PoolsNotEnabled,
    SecretKeyInBrowser,
    SecretKeyRequired,
    Unauthorized,
)

ENTITLEMENT = Entitlement(
    organization_id="org_1",
    mode="test",
    status=EntitlementStatus.ACTIVE,
    kyc_status=KycStatus.APPROVED,
    tier="standard",
    pool_ids=("EUR-USDT",),
    off_ramp_enabled=False,
    balance_gate_enabled=True,
)
PRINCIPAL = Principal("key_1", KeyKind.SECRET, "server", "org_1", ENTITLEMENT)
WELCOME = Caller(KeyKind.SECRET, "test", "test", in_browser=False, publishable_may=False, principal=PRINCIPAL)


def with_entitlement(**changes: object) -> Principal:
    """A principal whose entitlement differs."""
    return replace(PRINCIPAL, entitlement=replace(ENTITLEMENT, **changes))  # type: ignore[arg-type]


# Each row breaks one thing; the rows stand in the order of the contract's table.
BROKEN = (
    ({"key_kind": None, "key_mode": ""}, Unauthorized),
    ({"key_mode": "live"}, KeyModeMismatch),
    ({"principal": None}, Unauthorized),
    ({"in_browser": True}, SecretKeyInBrowser),
    ({"key_kind": KeyKind.PUBLISHABLE}, SecretKeyRequired),
    ({"principal": replace(PRINCIPAL, entitlement=None)}, PoolsNotEnabled),
    ({"principal": with_entitlement(status=EntitlementStatus.SUSPENDED)}, PoolAccessSuspended),
    ({"principal": with_entitlement(kyc_status=KycStatus.PENDING)}, KycNotApproved),
    ({"principal": with_entitlement(kyc_status=KycStatus.REVOKED)}, KycNotApproved),
)


def refusal(caller: Caller) -> type[DomainError] | None:
    """What the first shut gate answers."""
    error = refusal_before_look_up(caller) or refusal_after_look_up(caller)
    return type(error) if error is not None else None


def test_a_caller_that_passes_every_gate_is_not_refused() -> None:
    assert refusal(WELCOME) is None


@pytest.mark.parametrize(("changes", "reason"), BROKEN)
def test_each_gate_refuses_with_its_own_reason(changes: dict[str, object], reason: type[DomainError]) -> None:
    assert refusal(WELCOME._replace(**changes)) is reason  # type: ignore[arg-type]


# A key is publishable or secret, so the gate for browsers and the one for secret keys are never shut both.
@pytest.mark.parametrize(("earlier", "later"), [*pairwise(BROKEN[:4]), *pairwise(BROKEN[4:])])
def test_of_two_shut_gates_the_earlier_answers(
    earlier: tuple[dict[str, object], type[DomainError]], later: tuple[dict[str, object], type[DomainError]]
) -> None:
    assert refusal(WELCOME._replace(**{**later[0], **earlier[0]})) is earlier[1]  # type: ignore[arg-type]


def test_suspension_answers_before_verification() -> None:
    both = with_entitlement(status=EntitlementStatus.SUSPENDED, kyc_status=KycStatus.REVOKED)
    assert refusal(WELCOME._replace(principal=both)) is PoolAccessSuspended


def test_a_key_of_the_other_mode_is_refused_without_being_looked_up() -> None:
    stranger = WELCOME._replace(key_mode="live", principal=None)
    assert isinstance(refusal_before_look_up(stranger), KeyModeMismatch)


def test_a_publishable_key_may_do_what_is_open_to_it_also_in_a_browser() -> None:
    assert refusal(WELCOME._replace(key_kind=KeyKind.PUBLISHABLE, in_browser=True, publishable_may=True)) is None


@pytest.mark.parametrize(("changes", "reason"), BROKEN[5:])
def test_every_later_gate_holds_for_publishable_keys_too(changes: dict[str, object], reason: type[DomainError]) -> None:
    caller = WELCOME._replace(key_kind=KeyKind.PUBLISHABLE, publishable_may=True)
    assert refusal(caller._replace(**changes)) is reason  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pool_id", "exists", "reason"),
    [
        ("EUR-USDT", True, None),
        ("EUR-USDT", False, NotFound),
        ("GBP-USDT", True, PoolNotAllowed),
        ("GBP-USDT", False, NotFound),
    ],
)
def test_a_pool_that_exists_but_is_not_allowed_is_told_from_one_that_does_not_exist(
    pool_id: str, exists: bool, reason: type[DomainError] | None
) -> None:
    error = pool_refusal(ENTITLEMENT, pool_id, exists=exists)
    assert (type(error) if error is not None else None) is reason
