"""Owns the conversation with the settlement provider's status API: bounded in time, size and connections."""

from __future__ import annotations

from typing import Final

import aiohttp
import msgspec

from webhook_ingest.app.poll import IN_FLIGHT_MAX
from webhook_ingest.app.ports import NoAnswer, ProviderAnswer

ANSWER_BYTES_MAX: Final = 64 * 1024
EVENTS_MAX: Final = 16
"""A trade has four reports at most, each of which a provider may tell more than once."""


class StatusBody(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """What a provider answers; fields nobody knows are passed over."""

    transact_id: str
    events: list[msgspec.Raw] = []


_decoder: Final = msgspec.json.Decoder(StatusBody)


class ProviderClient:
    """Fulfils `webhook_ingest.app.ports.Provider`. Open it inside the loop it runs on, close it at the end."""

    def __init__(self, url: str, *, token: str, seconds_max: float) -> None:
        self._trades = f"{url.rstrip('/')}/v1/trades"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=IN_FLIGHT_MAX, ttl_dns_cache=10, keepalive_timeout=30),
            timeout=aiohttp.ClientTimeout(total=seconds_max),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            headers={
                "User-Agent": "0Pools-Settlement/1",
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                **({"Authorization": f"Bearer {token}"} if token else {}),
            },
        )

    async def close(self) -> None:
        """Closes every connection."""
        await self._session.close()

    async def ask(self, trade_id: str) -> ProviderAnswer:
        """Asks once: whoever polls again asks again. Raises NoAnswer."""
        try:
            async with self._session.get(f"{self._trades}/{trade_id}", allow_redirects=False) as response:
                if response.status == 404:
                    return ProviderAnswer(trade_id, ())
                if response.status != 200:
                    raise NoAnswer(f"it answered {response.status}")
                body = await _read(response)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # TimeoutError is an OSError; the text of what was sent must not get into logs.
            raise NoAnswer(f"it could not be asked ({type(error).__name__})") from None
        return _answer(body)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = b""
    async for part in response.content.iter_any():
        body += part
        if len(body) > ANSWER_BYTES_MAX:
            raise NoAnswer(f"it answered more than {ANSWER_BYTES_MAX} bytes")
    return body


def _answer(body: bytes) -> ProviderAnswer:
    try:
        status = _decoder.decode(body)
    except (msgspec.DecodeError, RecursionError):
        raise NoAnswer("it answered what is no status") from None
    if len(status.events) > EVENTS_MAX:
        raise NoAnswer(f"it reported more than {EVENTS_MAX} events")
    return ProviderAnswer(status.transact_id, [bytes(event) for event in status.events])
