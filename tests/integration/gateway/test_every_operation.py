"""Every operation at every gate, alone and two at a time, over both edges: the earlier of the contract's rows answers.

Whoever adds an operation or a gate adds it here. Source: CONTRACT §4.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import httpx
import pytest

from gateway.api.operations import Operation, partner_operations
from gateway.app import rate_limits
from gateway.app.partner import PartnerOperations
from pools.gateway.v1 import partner_pb2
from tests.integration.databases import RunningPostgres
from tests.integration.gateway.attempts import Attempt
from tests.integration.gateway.callers import Callers
from tests.integration.gateway.calls import EDGES, Answer
from tests.integration.gateway.house import RunningGateway, start_gateway
from tests.integration.gateway.neighbours import House

# The colleagues of these are never reached; the gateway under test has its own.
OPERATIONS = partner_operations(PartnerOperations(quotes=None, trades=None, settlements=None, ledger=None))  # type: ignore[arg-type]
ABOUT_A_POOL = ("transact", "create_quote", "get_capabilities", "get_balance")
ABOUT_A_QUOTE_OR_TRADE = ("transact", "get_quote", "reject_quote", "get_transaction", "get_trade")

# With these two, every two gates there are are met in every run.
IN_EVERY_ORDER = ("transact", "list_pools")


@dataclass(frozen=True)
class Gate:
    """One row of the table: what shuts it, what it answers, and what cannot be wrong at the same time."""

    name: str
    code: str
    excludes: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    """The operations that have it; all unless named."""


# In the contract's order, which is the order of precedence. An organization without an entitlement has none that could
# be suspended; a pool that is absent is not one that is not allowed.
GATES = (
    Gate("malformed key", "unauthorized", excludes=("revoked key",)),
    Gate("key of the other mode", "key_mode_mismatch"),
    Gate("revoked key", "unauthorized"),
    Gate("secret key in a browser", "secret_key_in_browser", excludes=("publishable key",)),
    Gate("publishable key", "secret_key_required"),
    Gate("no entitlement", "pools_not_enabled", excludes=("suspended", "KYC pending", "KYC revoked")),
    Gate("suspended", "pool_access_suspended"),
    Gate("KYC pending", "kyc_not_approved", excludes=("KYC revoked",)),
    Gate("KYC revoked", "kyc_not_approved"),
    Gate("over the rate limit", "rate_limited"),
    Gate("too large", "request_too_large"),
    Gate("unfit", "invalid_request"),
    Gate("no idempotency key", "idempotency_key_required", only=("transact",)),
    Gate("pool not allowed", "pool_not_allowed", excludes=("pool absent",), only=ABOUT_A_POOL),
    Gate("pool absent", "not_found", only=ABOUT_A_POOL),
    Gate("quote or trade absent", "not_found", excludes=("another's quote or trade",), only=ABOUT_A_QUOTE_OR_TRADE),
    Gate("another's quote or trade", "not_found", only=ABOUT_A_QUOTE_OR_TRADE),
)
_OF_SECRET_KEYS = ("secret key in a browser", "publishable key")


def gates_of(operation: Operation, kind: str) -> list[Gate]:
    """The gates this operation has for a key of this kind."""
    had = [gate for gate in GATES if not gate.only or operation.name in gate.only]
    if kind == "pk":
        # What publishable keys may do, they may do in a browser.
        return [gate for gate in had if gate.name not in _OF_SECRET_KEYS]
    return [gate for gate in had if gate.name != "publishable key" or not operation.publishable_may]


def shut_together(gates: list[Gate], *, every_two: bool) -> Iterator[tuple[Gate, ...]]:
    """None, each alone, and two that can be shut at once: every two, or each with the next of them in the table."""
    yield ()
    for place, earlier in enumerate(gates):
        yield (earlier,)
        following = [later for later in gates[place + 1 :] if later.name not in earlier.excludes]
        for later in following if every_two else following[:1]:
            yield earlier, later


@dataclass(frozen=True)
class Subjects:
    """What an operation can be about, and what it can not."""

    own: str
    another: str

    def of(self, shut: frozenset[str]) -> str:
        """The quote or trade to name."""
        if "quote or trade absent" in shut:
            return "pq_test_absent"
        return self.another if "another's quote or trade" in shut else self.own


def call_of(operation: Operation, key: str, shut: frozenset[str], subject: str) -> Attempt:
    """The call with exactly these gates shut."""
    pool_id = "EUR-USDT"
    if "pool not allowed" in shut:
        pool_id = "USD-USDT"
    elif "pool absent" in shut:
        pool_id = "EUR-DOGE"
    return Attempt(
        operation,
        key,
        pool_id=pool_id,
        subject=subject,
        in_browser="secret key in a browser" in shut,
        is_too_large="too large" in shut,
        is_unfit="unfit" in shut,
        idempotency_key=None if "no idempotency key" in shut else subject or "key 1",
    )


@pytest.fixture(scope="module")
async def walked(postgres: RunningPostgres, standing_house: House) -> AsyncIterator[RunningGateway]:
    """A gateway in front of the house's services, whose rate limit a test can use up.

    Buckets' time stands still: a call that flowed in meanwhile would let one through that is expected to be refused.
    """
    beside = standing_house.gateway.runtime.settings
    async with AsyncExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        now = rate_limits.monotonic_ns()
        patch.setattr(rate_limits, "monotonic_ns", lambda: now)
        yield await start_gateway(
            stack,
            postgres,
            quote_address=beside.quote_address,
            trade_address=beside.trade_address,
            ledger_address=beside.ledger_address,
            webhook_ingest_address=beside.webhook_ingest_address,
            key_calls_per_second=1,
            key_calls_burst=Callers.BURST,
        )


@pytest.fixture(scope="module")
def callers(walked: RunningGateway, http: httpx.AsyncClient) -> Callers:
    """Organizations by what is wrong with them."""
    return Callers(walked, http)


@pytest.mark.parametrize(
    "every_two", [pytest.param(False, id="two in a row"), pytest.param(True, id="every two", marks=pytest.mark.long)]
)
@pytest.mark.parametrize("edge", EDGES)
async def test_of_the_gates_that_are_shut_the_first_answers_at_every_operation(
    house: House, walked: RunningGateway, callers: Callers, edge: str, every_two: bool
) -> None:
    wrong: list[str] = []
    count = 0
    for operation in OPERATIONS:
        subjects = Subjects(await callers.begin(operation.name), await callers.of_another(operation.name))
        thoroughly = every_two or operation.name in IN_EVERY_ORDER
        for kind in ("sk", "pk") if operation.publishable_may else ("sk",):
            for gates in shut_together(gates_of(operation, kind), every_two=thoroughly):
                shut = frozenset(gate.name for gate in gates)
                expected = gates[0].code if gates else "ok"
                key = await callers.key("pk" if "publishable key" in shut else kind, shut)
                if expected == "rate_limited":
                    await callers.use_up(key)
                answer = await over(edge, call_of(operation, key, shut, subjects.of(shut)), walked, house.http)
                count += 1
                if answer.code != expected:
                    wrong.append(f"{operation.name} with {kind}, {sorted(shut)}: {answer.code}, not {expected}")
    assert wrong == []
    assert count > (1_000 if every_two else 450)


async def over(edge: str, attempt: Attempt, gateway: RunningGateway, http: httpx.AsyncClient) -> Answer:
    """The answer over this edge."""
    return await (attempt.over_rest(gateway, http) if edge == "rest" else attempt.over_grpc(gateway))


def test_the_table_and_the_contract_name_the_same_methods() -> None:
    service = partner_pb2.DESCRIPTOR.services_by_name["PartnerService"]
    assert sorted(operation.rpc for operation in OPERATIONS) == sorted(method.name for method in service.methods)
    for operation in OPERATIONS:
        method = service.methods_by_name[operation.rpc]
        assert method.input_type.full_name == operation.message.DESCRIPTOR.full_name


def test_only_listing_pools_is_open_to_publishable_keys_and_only_transact_needs_an_idempotency_key() -> None:
    assert [one.name for one in OPERATIONS if one.publishable_may] == ["list_pools"]
    assert [one.name for one in OPERATIONS if one.needs_idempotency_key] == ["transact"]
    assert len(OPERATIONS) == 12
