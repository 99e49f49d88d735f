"""Access: remembered for two seconds at most, asked once for many, and never a yes that nobody gave."""

import asyncio

import pytest

from gateway.app import access as access_module
from gateway.app.access import Access, presented_key
from gateway.domain.entitlement import KeyKind, PresentedKey, Principal
from poolkit.errors import Overloaded, Unavailable
from poolkit.security import new_api_key
from tests.unit.gateway.test_gates import PRINCIPAL
from tests.waiting import eventually

PEPPER = b"pepper"


class Store:
    """Answers look-ups as it is told to, and counts them."""

    def __init__(self) -> None:
        self.answer: Principal | None = PRINCIPAL
        self.failure: Exception | None = None
        self.asked = 0
        self.hold: asyncio.Event | None = None

    async def __call__(self, _hashed: bytes) -> Principal | None:
        self.asked += 1
        answer = self.answer
        if self.hold is not None:
            await self.hold.wait()
        if self.failure is not None:
            raise self.failure
        return answer


class Clock:
    """A clock that moves when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def key() -> PresentedKey:
    presented = presented_key(f"Bearer {new_api_key('sk', 'test')}")
    assert presented is not None
    return presented


@pytest.mark.parametrize(
    "authorization",
    [
        "", "Bearer", "Bearer ", "Basic abc", "sk_test_abc", "Bearer sk_test_", "Bearer sk_prod_abc",
        "Bearer xk_test_abc", "Bearer sk_test_ab-c", "Bearer sk_test_abc def", "Bearer sk_test_" + "a" * 300,
        "Bearer sk_test_ä",
    ],
)  # fmt: skip
def test_what_is_no_well_formed_key_is_none(authorization: str) -> None:
    assert presented_key(authorization) is None


def test_a_well_formed_key_tells_its_kind_and_mode_and_hides_its_text() -> None:
    presented = presented_key("bearer pk_live_abc")
    assert presented is not None
    assert (presented.kind, presented.mode) == (KeyKind.PUBLISHABLE, "live")
    assert "abc" not in repr(presented)


async def test_many_callers_of_one_key_ask_once() -> None:
    store = Store()
    access = Access(store, PEPPER)
    presented = key()
    found = await asyncio.gather(*(access.principal(presented) for _ in range(50)))
    assert (set(found), store.asked) == ({PRINCIPAL}, 1)


async def test_noise_is_unknown_without_asking() -> None:
    store = Store()
    assert await Access(store, PEPPER).principal(PresentedKey(KeyKind.SECRET, "test", "sk_test_noise")) is None
    assert store.asked == 0


async def test_a_revoked_key_is_refused_within_two_seconds() -> None:
    store, clock = Store(), Clock()
    access = Access(store, PEPPER, clock=clock)
    presented = key()
    assert await access.principal(presented) == PRINCIPAL
    store.answer = None
    clock.now += 1.999
    assert await access.principal(presented) == PRINCIPAL
    await eventually(lambda: store.asked == 2, "the entry is asked for again")
    clock.now += 0.001
    assert await access.principal(presented) is None


async def test_an_entry_is_renewed_while_others_still_use_it() -> None:
    store, clock = Store(), Clock()
    access = Access(store, PEPPER, clock=clock)
    presented = key()
    await access.principal(presented)
    store.hold = asyncio.Event()
    clock.now += 1.5
    assert await access.principal(presented) == PRINCIPAL
    assert await access.principal(presented) == PRINCIPAL
    await eventually(lambda: store.asked == 2, "the entry is asked for again")
    store.hold.set()
    clock.now += 1.0
    await eventually(lambda: not access._asking, "the look-up ends")
    assert await access.principal(presented) == PRINCIPAL
    assert store.asked <= 3


async def test_a_store_that_cannot_be_read_is_no_yes() -> None:
    store, clock = Store(), Clock()
    access = Access(store, PEPPER, clock=clock)
    presented = key()
    await access.principal(presented)
    store.failure = Unavailable()
    clock.now += 2.0
    with pytest.raises(Unavailable):
        await access.principal(presented)


async def test_an_answer_asked_for_before_a_change_is_not_remembered() -> None:
    store = Store()
    store.hold = asyncio.Event()
    access = Access(store, PEPPER)
    presented = key()
    asking = asyncio.create_task(access.principal(presented))
    await eventually(lambda: store.asked == 1, "the key is asked for")
    access.forget()
    store.answer = None
    store.hold.set()
    assert await asking == PRINCIPAL
    assert await access.principal(presented) is None


async def test_what_is_remembered_is_bounded_in_number_and_unknown_keys_push_out_no_known_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(access_module, "UNKNOWN_KEYS_MAX", 5)
    monkeypatch.setattr(access_module, "REMEMBERED_KEYS_MAX", 3)
    store = Store()
    access = Access(store, PEPPER)
    known = [key() for _ in range(3)]
    for presented in known:
        await access.principal(presented)
    store.answer = None
    for _ in range(20):
        await access.principal(key())
    asked = store.asked
    assert [await access.principal(presented) for presented in known] == [PRINCIPAL] * 3
    assert (store.asked, len(access._unknown)) == (asked, 5)
    store.answer = PRINCIPAL
    await access.principal(key())
    assert len(access._remembered) == 3


async def test_a_flood_of_made_up_keys_is_shed_and_keys_in_use_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_module, "LOOK_UPS_MAX", 4)
    store, clock = Store(), Clock()
    access = Access(store, PEPPER, clock=clock)
    in_use = key()
    await access.principal(in_use)
    store.hold = asyncio.Event()
    flood = [asyncio.create_task(access.principal(key())) for _ in range(10)]
    shed = await asyncio.gather(*flood[4:], return_exceptions=True)
    assert [type(refusal) for refusal in shed] == [Overloaded] * 6
    clock.now += 1.5
    assert await access.principal(in_use) == PRINCIPAL
    await eventually(lambda: store.asked == 1 + 4 + 1, "the key in use is renewed beside the flood")
    store.hold.set()
    await asyncio.gather(*flood[:4])
