"""Whom a key speaks for: looked up by its keyed hash, remembered for at most two seconds, never guessed.

Source: contract section 4 (deny-closed): where the store cannot be read there is no answer, and no answer is no yes.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from gateway.domain.entitlement import KeyKind, PresentedKey, Principal
from poolkit.errors import Overloaded, Unavailable
from poolkit.security import KEY_PATTERN, KeyHash, key_checksum_ok

log = structlog.get_logger(__name__)

REMEMBERED_SECONDS_MAX: Final = 2.0
# From here on one caller's look-up renews the entry while the others still use it, so nobody waits under load.
RENEWED_SECONDS: Final = 1.0
REMEMBERED_KEYS_MAX: Final = 10_000
UNKNOWN_KEYS_MAX: Final = 2_000
LOOK_UP_SECONDS_MAX: Final = 1.0
LOOK_UPS_MAX: Final = 512
"""Under way at once. Beyond it keys not seen lately are refused: a flood of made-up ones must not fill the database's
queue, in which those in use are renewed."""
AUTHORIZATION_LENGTH_MAX: Final = 256
_KINDS: Final = {kind.value: kind for kind in KeyKind}

LookUp = Callable[[bytes], Awaitable[Principal | None]]


def presented_key(authorization: str) -> PresentedKey | None:
    """The key in an `Authorization: Bearer …`, or None where there is none that is well formed."""
    if len(authorization) > AUTHORIZATION_LENGTH_MAX or authorization[:7].lower() != "bearer ":
        return None
    text = authorization[7:].strip()
    match = KEY_PATTERN.match(text)
    return PresentedKey(_KINDS[match[1]], match[2], text) if match is not None else None


class _Remembered:
    __slots__ = ("asked_at", "principal")

    def __init__(self, principal: Principal | None, asked_at: float) -> None:
        self.principal = principal
        self.asked_at = asked_at


class Access:
    """The look-up with its memory. What is remembered is bounded in time and in number, unknown keys included."""

    def __init__(self, look_up: LookUp, pepper: bytes, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._look_up = look_up
        self._hash = KeyHash(pepper)
        self._clock = clock
        self._remembered: dict[bytes, _Remembered] = {}
        # Apart, so that a flood of unknown keys makes room among themselves only.
        self._unknown: dict[bytes, _Remembered] = {}
        self._asking: dict[bytes, asyncio.Task[_Remembered]] = {}

    async def principal(self, key: PresentedKey) -> Principal | None:
        """Whom the key speaks for; None where it is unknown or revoked. Raises Unavailable, Overloaded."""
        hashed = self._hash(key.text)
        known = self._remembered.get(hashed) or self._unknown.get(hashed)
        if known is not None:
            age = self._clock() - known.asked_at
            if age < RENEWED_SECONDS:
                return known.principal
            if age < REMEMBERED_SECONDS_MAX:
                self._ask(hashed)
                return known.principal
        elif not key_checksum_ok(key.text):
            # Nobody minted it: noise costs the database nothing.
            return None
        if len(self._asking) >= LOOK_UPS_MAX and hashed not in self._asking:
            raise Overloaded
        # Shielded: others wait for the same answer.
        return (await asyncio.shield(self._ask(hashed))).principal

    def forget(self) -> None:
        """Forgets everything, since a key or an entitlement changed; answers under way are not remembered either."""
        self._remembered.clear()
        self._unknown.clear()
        self._asking.clear()

    def _ask(self, hashed: bytes) -> "asyncio.Task[_Remembered]":
        task = self._asking.get(hashed)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._read(hashed))
            self._asking[hashed] = task
            task.add_done_callback(lambda done: self._answered(hashed, done))
        return task

    async def _read(self, hashed: bytes) -> _Remembered:
        # The age counts from before the question: the answer may be as old as that.
        asked_at = self._clock()
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS_MAX):
                return _Remembered(await self._look_up(hashed), asked_at)
        except Exception as exc:
            # Whatever keeps us from knowing, it is 503 to the caller, who may ask again, and never a yes.
            log.warning("access_look_up_failed", exc_info=exc)
            raise Unavailable from exc

    def _answered(self, hashed: bytes, task: "asyncio.Task[_Remembered]") -> None:
        forgotten = self._asking.get(hashed) is not task
        if not forgotten:
            del self._asking[hashed]
        if task.cancelled() or task.exception() is not None or forgotten:
            return
        self._remembered.pop(hashed, None)
        self._unknown.pop(hashed, None)
        answer = task.result()
        if answer.principal is None:
            _put(self._unknown, hashed, answer, UNKNOWN_KEYS_MAX)
        else:
            _put(self._remembered, hashed, answer, REMEMBERED_KEYS_MAX)


def _put(memory: dict[bytes, _Remembered], hashed: bytes, answer: _Remembered, count_max: int) -> None:
    while len(memory) >= count_max:
        del memory[next(iter(memory))]
    memory[hashed] = answer
