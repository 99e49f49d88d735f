"""The way in for closing dates and reading closes: `pools.ledger.v1.CloseService`."""

import asyncio
import base64
import binascii
import contextlib
import re
from collections.abc import AsyncIterator
from datetime import date
from typing import Final

from ledger.api.close_view import KINDS_IN, close_message, exception_message
from ledger.app.close.run_close import Asked, RunClose
from ledger.store.close import closes, exceptions
from ledger.store.close.closes import CloseRow
from ledger.store.heads import find_statement
from poolkit.context import current_request_id
from poolkit.database import Database
from poolkit.errors import InvalidRequest, NotFound
from poolkit.rpc.facts import business_date
from poolkit.rpc.pages import page_size
from poolkit.rpc.types import Context
from poolkit.telemetry.tracing import current_traceparent
from pools.ledger.v1 import close_pb2, close_pb2_grpc

PAGE_SIZE_MAX: Final = 200
WAIT_SECONDS_MAX: Final = 600
NAME_LENGTH_MAX: Final = 128
_TOKEN: Final = re.compile(r"1:([0-9]{4}-[0-9]{2}-[0-9]{2}):([1-9][0-9]{0,8})").fullmatch
_NEWEST: Final = (date.max, 1)


class CloseService(close_pb2_grpc.CloseServiceServicer):
    """Translates and delegates; decides nothing."""

    def __init__(self, database: Database, run: RunClose) -> None:
        self._database = database
        self._run = run

    async def RunClose(  # noqa: N802 - the RPC's name
        self, request: close_pb2.RunCloseRequest, context: Context
    ) -> AsyncIterator[close_pb2.RunCloseResponse]:
        """Closes a date, telling how far it is."""
        day = business_date(request.business_date)
        asked = Asked(current_request_id.get(), _name(request.requested_by), current_traceparent())
        wait_seconds_max = _within(request.wait_seconds_max, WAIT_SECONDS_MAX, "wait_seconds_max")
        told: asyncio.Queue[str | None] = asyncio.Queue()
        running = asyncio.create_task(self._run(day, asked, told.put_nowait, wait_seconds_max))
        running.add_done_callback(lambda _: told.put_nowait(None))
        try:
            while (message := await told.get()) is not None:
                yield close_pb2.RunCloseResponse(progress=close_pb2.CloseProgress(message=message))
            outcome = await running
        finally:
            # Who asked has gone: nothing is stored yet, or all of it is.
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await running
        close = await self._message(outcome.close)
        yield close_pb2.RunCloseResponse(outcome=close_pb2.CloseOutcome(close=close, created=outcome.created))

    async def GetClose(  # noqa: N802 - the RPC's name
        self, request: close_pb2.GetCloseRequest, context: Context
    ) -> close_pb2.GetCloseResponse:
        """Reads one close."""
        close = await self._find(request.business_date, request.revision)
        return close_pb2.GetCloseResponse(close=await self._message(close))

    async def ListCloses(  # noqa: N802 - the RPC's name
        self, request: close_pb2.ListClosesRequest, context: Context
    ) -> close_pb2.ListClosesResponse:
        """Lists closes, newest first."""
        size = page_size(request.page_size, largest=PAGE_SIZE_MAX)
        before = _position(request.page_token) if request.page_token else _NEWEST
        found = await closes.list_closes(self._database, before=before, limit=size + 1)
        shown = found[:size]
        return close_pb2.ListClosesResponse(
            closes=[await self._message(close) for close in shown],
            next_page_token=_token(shown[-1]) if len(found) > size else "",
        )

    async def StreamCloseExceptions(  # noqa: N802 - the RPC's name
        self, request: close_pb2.StreamCloseExceptionsRequest, context: Context
    ) -> AsyncIterator[close_pb2.StreamCloseExceptionsResponse]:
        """Streams a close's exceptions by number."""
        if any(kind not in KINDS_IN for kind in request.kinds):
            raise InvalidRequest("it names a kind that there is not.", field="kinds")
        if request.after_number < 0:
            raise InvalidRequest("it must not be negative.", field="after_number")
        close = await self._find(request.business_date, request.revision)
        pages = exceptions.read_exceptions(
            self._database,
            close.close_id,
            after_number=request.after_number,
            kinds=[str(KINDS_IN[kind]) for kind in request.kinds],
        )
        async for page in pages:
            yield close_pb2.StreamCloseExceptionsResponse(exceptions=map(exception_message, page))

    async def _find(self, day: str, revision: int) -> CloseRow:
        if revision < 0:
            raise InvalidRequest("it must not be negative; 0 is the newest.", field="revision")
        close = await closes.find_close(self._database, business_date(day), revision)
        if close is None:
            raise NotFound("close")
        return close

    async def _message(self, close: CloseRow) -> close_pb2.Close:
        return close_message(close, await find_statement(self._database, close.close_id))


def _within(asked: int, most: int, field: str) -> int:
    if not 0 <= asked <= most:
        raise InvalidRequest(f"it must be 1 to {most}, not {asked}.", field=field)
    return asked


def _name(text: str) -> str:
    if len(text) > NAME_LENGTH_MAX or not text.isprintable():
        raise InvalidRequest(f"it must be at most {NAME_LENGTH_MAX} printable characters.", field="requested_by")
    return text


def _token(close: CloseRow) -> str:
    return base64.urlsafe_b64encode(f"1:{close.business_date}:{close.revision}".encode()).decode().rstrip("=")


def _position(token: str) -> tuple[date, int]:
    try:
        text = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode("ascii")
        match = _TOKEN(text)
        return (date.fromisoformat(match[1]), int(match[2])) if match else _unknown()
    except (binascii.Error, ValueError):
        return _unknown()


def _unknown() -> tuple[date, int]:
    raise InvalidRequest("it is not a token of this list; send back the one of the page before.", field="page_token")
