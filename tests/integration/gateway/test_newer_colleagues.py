"""What a newer colleague says in words that this gateway does not know: an error like every other, and on record."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import httpx

from pools.quote.v1 import quote_pb2
from pools.types.v1 import types_pb2
from tests.integration.databases import RunningPostgres
from tests.integration.gateway.calls import Caller
from tests.integration.gateway.house import start_gateway
from tests.integration.gateway.test_request_log import rows_of
from tests.integration.poolkit.quotes import serving


async def test_an_answer_that_cannot_be_told_is_masked_with_its_request_id_and_on_record(
    postgres: RunningPostgres, http: httpx.AsyncClient
) -> None:
    unheard_of: Any = 99

    async def newer(_request: quote_pb2.GetQuotesRequest, _context: Any) -> quote_pb2.GetQuotesResponse:
        quote = types_pb2.Quote(quote_id="pq_test_1", available=True, status=unheard_of)
        return quote_pb2.GetQuotesResponse(results=[quote_pb2.QuoteResult(quote=quote)])

    async with AsyncExitStack() as stack:
        _, _, server = await stack.enter_async_context(serving(newer))
        gateway = await start_gateway(stack, postgres, quote_address=f"127.0.0.1:{server.port}")
        caller = Caller(gateway, http, "rest", (await gateway.new_partner()).secret_key)
        answer = await caller.get_quote("pq_test_1")
        assert (answer.code, answer.body["statusCode"]) == ("internal", 500)
        assert "99" not in answer.body["message"]
        [row] = await rows_of(gateway.database, answer.request_id, 1)
        assert (row["operation"], row["outcome"], row["http_status"]) == ("get_quote", "internal", 500)
