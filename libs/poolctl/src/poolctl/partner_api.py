"""Owns calling the partner API over REST as a partner's server would: bodies in, bodies out, refusals as failures."""

from types import TracebackType
from typing import Any, Self

import aiohttp

from poolctl.failure import CommandFailure
from poolkit.ids import new_id

Body = dict[str, Any]


class PartnerRefusal(CommandFailure):
    """The API answered with an error, or not at all."""

    def __init__(self, operation: str, status: int, body: Body, request_id: str) -> None:
        self.status = status
        self.code = str(body.get("code", "unreadable_answer"))
        super().__init__(f"{operation}: {status} {self.code}: {body.get('message', '')}", request_id=request_id)


class PartnerApi:
    """One partner's client, of one key. `request_id` of a call is ours to choose; one is minted where none is given."""

    def __init__(self, rest: str, secret_key: str, *, connections_max: int = 100) -> None:
        self._session = aiohttp.ClientSession(
            base_url=rest,
            headers={"Authorization": f"Bearer {secret_key}"},
            connector=aiohttp.TCPConnector(limit=connections_max),
            timeout=aiohttp.ClientTimeout(total=10),
        )

    async def create_quote(self, pool_id: str, body: Body, *, request_id: str = "") -> Body:
        """POST `/v1/pools/{id}/quote`."""
        return await self._call("POST", f"/v1/pools/{pool_id}/quote", body, request_id=request_id)

    async def transact(self, pool_id: str, quote_id: str, *, idempotency_key: str, request_id: str = "") -> Body:
        """POST `/v1/pools/{id}/transact`."""
        headers = {"Idempotency-Key": idempotency_key}
        path = f"/v1/pools/{pool_id}/transact"
        return await self._call("POST", path, {"quoteId": quote_id}, headers, request_id=request_id)

    async def get_trade(self, trade_id: str) -> Body:
        """GET `/v1/pools/trades/{transactId}`."""
        return await self._call("GET", f"/v1/pools/trades/{trade_id}")

    async def list_ledger(self, currency: str) -> Body:
        """GET `/v1/pools/ledger`."""
        return await self._call("GET", f"/v1/pools/ledger?currency={currency}")

    async def _call(
        self,
        method: str,
        path: str,
        body: Body | None = None,
        headers: dict[str, str] | None = None,
        *,
        request_id: str = "",
    ) -> Body:
        request_id = request_id or new_id("req")
        operation = f"{method} {path.partition('?')[0]}"
        try:
            async with self._session.request(
                method, path, json=body, headers={"X-Request-Id": request_id, **(headers or {})}
            ) as response:
                answer: Body = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as failure:
            why = str(failure) or type(failure).__name__
            raise CommandFailure(f"{operation}: no answer ({why}).", request_id=request_id) from failure
        if response.status >= 400:
            raise PartnerRefusal(operation, response.status, answer, request_id)
        return answer

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._session.close()
