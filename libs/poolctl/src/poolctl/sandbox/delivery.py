"""Owns how the simulated world posts a webhook: signed anew for each try, again and again until it is taken."""

import asyncio
import time
from typing import Final, NamedTuple

import aiohttp
import structlog

from poolkit.errors import Unavailable
from poolkit.security import sign_standard

TRIES_MAX: Final = 8
PAUSE_SECONDS_FIRST: Final = 0.1
PAUSE_SECONDS_MAX: Final = 5.0
POST_SECONDS_MAX: Final = 10.0

_FINAL: Final = frozenset({400, 403, 409, 413})
"""What no repeat changes: the webhook itself is at fault. An unknown source may be known a moment later."""

log = structlog.get_logger("poolctl.sandbox")


class WebhookRefused(Exception):
    """webhook-ingest answered that this webhook will never be taken."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"webhook refused with {status}")
        self.status = status
        self.body = body


class Poster(NamedTuple):
    """As whom something is posted."""

    source: str
    secret: str


def open_session(in_flight_max: int) -> aiohttp.ClientSession:
    """A session for webhooks: few connections, kept open."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=in_flight_max),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=POST_SECONDS_MAX),
    )


class WebhookSender:
    """Posts webhooks of one source, at least once."""

    def __init__(self, http: aiohttp.ClientSession, webhooks_url: str, poster: Poster) -> None:
        self._http = http
        self._url = f"{webhooks_url.rstrip('/')}/v1/webhooks/{poster.source}"
        self._secrets = (poster.secret,)

    async def send(
        self, event_id: str, body: bytes, *, request_id: str, traceparent: str, tries_max: int = TRIES_MAX
    ) -> bytes:
        """Answers what webhook-ingest did once it has taken the webhook.

        Raises WebhookRefused when it never will, Unavailable when it has not after `tries_max` tries; then it may have
        been taken all the same, and sending it again is harmless.
        """
        pause_seconds = PAUSE_SECONDS_FIRST
        for tries_left in range(tries_max - 1, -1, -1):
            headers = sign_standard(self._secrets, event_id, int(time.time()), body)
            headers["content-type"] = "application/json"
            if request_id:
                headers["x-request-id"] = request_id
            if traceparent:
                headers["traceparent"] = traceparent
            try:
                async with self._http.post(self._url, data=body, headers=headers) as response:
                    answer = await response.read()
            except (aiohttp.ClientError, TimeoutError) as failure:
                log.debug("webhook_not_taken", event_id=event_id, error=repr(failure))
            else:
                if response.status < 300:
                    return answer
                if response.status in _FINAL:
                    raise WebhookRefused(response.status, answer)
                log.debug("webhook_not_taken", event_id=event_id, status=response.status)
            if tries_left:
                await asyncio.sleep(pause_seconds)
                pause_seconds = min(PAUSE_SECONDS_MAX, 2 * pause_seconds)
        raise Unavailable
