"""Partners and a settlement provider who call without a pause, try nothing twice, and note all that did not go well."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from types import SimpleNamespace
from typing import Any, Final

import grpc
import httpx
from google.protobuf.message import Message

from poolctl.session import Addresses
from poolkit.errors import CATALOGUE
from poolkit.ids import new_id
from poolkit.rpc.channels import open_channel
from poolkit.security import sign_standard
from pools_contracts.gateway import GatewayClient
from tests.e2e.partners import POOL, Partner
from tests.integration.gateway.calls import EDGES, Answer, Caller
from tests.waiting import eventually

ENDINGS: Final = {"0001": "settled", "0002": "failed", "0003": "released", "0004": "returned", "0005": "settled"}
"""By the last digits of the destination; on `0005` the sandbox is silent, and the provider here reports."""
OWN_REPORT: Final = "0005"
# Round robin over replicas that say they take calls, and nothing else: no call is ever sent a second time.
_NO_RETRIES: Final = json.dumps(
    {"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": GatewayClient.service}}
)
_UNANSWERED: Final = frozenset(code for code, reason in CATALOGUE.items() if reason.http_status == 503)
_IN_PROGRESS: Final = "idempotency_in_progress"
_ENDED_MEANWHILE: Final = frozenset({"quote_rejected", "quote_expired"})
"""What became of a quote while nobody answered: rejected by the first of two calls, or too old by the second."""


class PlainCaller(Caller):
    """A caller whose gRPC says what gRPC itself made of a call, where no replica was reached."""

    async def _over_grpc(self, rpc: str, message: Message, metadata: dict[str, str]) -> Answer:
        try:
            return await super()._over_grpc(rpc, message, metadata)
        except KeyError as no_details:
            # Nobody of ours has answered, so there is no reason but gRPC's own code.
            failure = no_details.__context__
            if not isinstance(failure, grpc.aio.AioRpcError):
                raise
            return Answer(failure.code().name.lower(), None, "", False)


@dataclass(slots=True)
class Noted:
    """What callers have seen."""

    calls: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    trades: dict[str, str] = field(default_factory=dict)
    """How each accepted trade is to end, by its id."""
    orders: int = 0
    unanswered: int = 0
    """Answers with 503, which a patient caller asks again."""


class Patrons:
    """Callers over both edges. With `patience`, a 503 is asked again as a partner would; without, it is a failure."""

    def __init__(self, partner: Partner, addresses: Addresses, *, source: str, secret: str) -> None:
        channel = open_channel(addresses.grpc, "patron", options=[("grpc.service_config", _NO_RETRIES)])
        self._client = GatewayClient(channel)
        self._http = httpx.AsyncClient(timeout=10, trust_env=False)
        doors: Any = SimpleNamespace(rest=addresses.rest, partner=self._client)
        self._callers = [PlainCaller(doors, self._http, edge, partner.secret_key) for edge in EDGES]
        self._report_url = f"{addresses.webhooks}/v1/webhooks/{source}"
        self._secret = secret
        self._numbers = count()
        self._running = True
        self.noted = Noted()
        self.patience = False

    async def call(self, *, at_once: int) -> None:
        """Orders one after the other, over each edge `at_once` of them beside each other, until `leave`."""

        async def orders(caller: Caller) -> None:
            while self._running:
                await self._order(caller, next(self._numbers))
                self.noted.orders += 1

        await asyncio.gather(*(orders(caller) for caller in self._callers for _ in range(at_once)))

    def leave(self) -> None:
        """Lets every order under way end, and begins no more."""
        self._running = False

    async def close(self) -> None:
        """Lets the connections go."""
        await self._http.aclose()
        await self._client.close()

    async def _order(self, caller: Caller, number: int) -> None:
        """Every operation there is, once or more."""
        ending = list(ENDINGS)[number % len(ENDINGS)]
        quote = await self._quote(caller, ending)
        await self._ask(caller.list_pools)
        await self._ask(caller.get_capabilities)
        await self._ask(caller.get_balance)
        await self._ask(lambda: caller.get_funding("EUR"), what="get_funding")
        if quote:
            await self._accept(caller, quote, ending)
        unwanted = await self._quote(caller, ending)
        if unwanted:
            await self._ask(lambda: caller.reject_quote(unwanted), what="reject_quote", besides=_ENDED_MEANWHILE)
            await self._ask(lambda: caller.get_quote(unwanted), what="get_quote")
        await self._ask(caller.list_trades)
        await self._ask(caller.ledger)

    async def _quote(self, caller: Caller, ending: str) -> str:
        """A firm quote's id; empty where there was none."""

        async def asked() -> Answer:
            answer = await caller.create_quote(amount="5.00", destinationAddress=f"TRollingRollingRolling{ending}")
            # A price that cannot be given because a colleague is away is an answer, and to whoever waits a failure.
            return answer if answer.code != "ok" or _quote_id(answer) else Answer("unavailable", None, "", False)

        answer = await self._ask(asked, what="create_quote")
        return _quote_id(answer) if answer else ""

    async def _accept(self, caller: Caller, quote_id: str, ending: str) -> None:
        answer = await self._ask(lambda: caller.transact(quote_id, quote_id), what="transact", besides=_ENDED_MEANWHILE)
        if answer is None or answer.code != "ok":
            return
        trade_id = str(_of(answer, "trade", "transactId", "transact_id"))
        self.noted.trades[trade_id] = ENDINGS[ending]
        await self._ask(lambda: caller.get_transaction(quote_id), what="get_transaction")
        await self._ask(lambda: caller.get_trade(trade_id), what="get_trade")
        if ending == OWN_REPORT:
            crypto = str(_of(answer, "trade", "cryptoAmount", "crypto"))
            body = _settled(trade_id, crypto)
            await self._ask(lambda: self._report(body), what="report")

    async def _ask(
        self, call: Callable[[], Awaitable[Answer]], *, what: str = "", besides: frozenset[str] = frozenset()
    ) -> Answer | None:
        """The answer, and a note where it is not what it is to be; None after a failure.

        To `besides` it may come where a patient caller has asked for long, this or what came before.
        """
        what = what or getattr(call, "__name__", "call")

        async def once() -> Answer:
            try:
                return await call()
            except (httpx.TransportError, grpc.aio.AioRpcError, AssertionError, ValueError, KeyError) as broken:
                return Answer(repr(broken), None, "", False)

        async def answered() -> Answer | None:
            answer = await once()
            self.noted.unanswered += answer.code in _UNANSWERED
            return None if answer.code in _UNANSWERED | {_IN_PROGRESS} else answer

        began = datetime.now(UTC)
        answer = await once()
        allowed = {"ok"} | (besides if self.patience else set())
        if self.patience and answer.code in _UNANSWERED:
            self.noted.unanswered += 1
            answer = await eventually(answered, f"{what} is answered", seconds=90, every_seconds=0.2)
        self.noted.calls[what] += 1
        if answer.code in allowed:
            return answer
        self.noted.failures.append(f"{began:%H:%M:%S.%f} {what}: {answer.code}, request {answer.request_id or '-'}")
        return None

    async def _report(self, body: bytes) -> Answer:
        headers = sign_standard([self._secret], new_id("evt"), int(time.time()), body)
        response = await self._http.post(self._report_url, content=body, headers=headers)
        if response.status_code != 200:
            return Answer(response.json()["code"], None, response.headers.get("x-request-id", ""), False)
        return Answer("ok", response.json(), response.headers["x-request-id"], False)


def _of(answer: Answer, message: str, camel: str, snake: str) -> Any:
    """A field of the answer, over whichever edge it came."""
    if isinstance(answer.body, dict):
        return answer.body[camel]
    value = getattr(getattr(answer.body, message), snake)
    return getattr(value, "amount", value)


def _quote_id(answer: Answer) -> str:
    return _of(answer, "quote", "quoteId", "quote_id") or ""


def _settled(trade_id: str, crypto: str) -> bytes:
    event = {
        "eventId": new_id("evt"),
        "kind": "trade.settled",
        "transactId": trade_id,
        "networkTransactionId": f"0x{trade_id}",
        "cryptoCurrency": POOL.partition("-")[2],
        "cryptoAmount": crypto,
        "occurredAt": datetime.now(UTC).isoformat(),
    }
    return json.dumps(event).encode()
