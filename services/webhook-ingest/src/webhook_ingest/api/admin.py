"""The way in for operations: `pools.webhook_ingest.v1.WebhookAdminService`."""

from typing import Final

from poolkit.context import current_request_id
from poolkit.database import Database
from poolkit.errors import InvalidRequest
from poolkit.rpc.convert import MODES, from_time
from poolkit.rpc.pages import page_size
from poolkit.rpc.types import Context
from poolkit.telemetry.tracing import current_traceparent
from pools.webhook_ingest.v1 import webhook_ingest_pb2, webhook_ingest_pb2_grpc
from webhook_ingest.api.pages import from_token, to_token
from webhook_ingest.app.sources import Sources
from webhook_ingest.domain.sources import Scheme, Source, new_source
from webhook_ingest.store.listing import State, WebhookView, list_page
from webhook_ingest.store.sources import Origin

_SCHEMES: Final = {
    webhook_ingest_pb2.SIGNATURE_SCHEME_UNSPECIFIED: Scheme.STANDARD,
    webhook_ingest_pb2.SIGNATURE_SCHEME_STANDARD: Scheme.STANDARD,
    webhook_ingest_pb2.SIGNATURE_SCHEME_TIMED_HEX: Scheme.TIMED_HEX,
    webhook_ingest_pb2.SIGNATURE_SCHEME_HEX: Scheme.HEX,
}
_SCHEMES_OUT: Final = {
    Scheme.STANDARD: webhook_ingest_pb2.SIGNATURE_SCHEME_STANDARD,
    Scheme.TIMED_HEX: webhook_ingest_pb2.SIGNATURE_SCHEME_TIMED_HEX,
    Scheme.HEX: webhook_ingest_pb2.SIGNATURE_SCHEME_HEX,
}
STATES_OUT: Final = {
    State.RECEIVED: webhook_ingest_pb2.WEBHOOK_STATE_RECEIVED,
    State.PROCESSED: webhook_ingest_pb2.WEBHOOK_STATE_PROCESSED,
    State.EXCEPTION: webhook_ingest_pb2.WEBHOOK_STATE_EXCEPTION,
    State.REJECTED: webhook_ingest_pb2.WEBHOOK_STATE_REJECTED,
    State.CONFLICT: webhook_ingest_pb2.WEBHOOK_STATE_CONFLICT,
}
_STATES: Final = {value: state for state, value in STATES_OUT.items()}


class WebhookAdminService(webhook_ingest_pb2_grpc.WebhookAdminServiceServicer):
    """Translates and delegates; decides nothing."""

    def __init__(self, database: Database, sources: Sources, mode: str) -> None:
        self._database = database
        self._sources = sources
        self._mode = MODES[mode]

    async def CreateSource(  # noqa: N802 - the RPC's name
        self, request: webhook_ingest_pb2.CreateSourceRequest, context: Context
    ) -> webhook_ingest_pb2.CreateSourceResponse:
        """Makes a source."""
        scheme = _SCHEMES.get(request.scheme)
        if scheme is None:
            raise InvalidRequest("there is no such scheme.", field="scheme")
        new = new_source(request.name, request.kinds, scheme, request.signature_header)
        made = await self._sources.create(new, request.secret, _origin())
        return webhook_ingest_pb2.CreateSourceResponse(source=_source(made.source), secret=made.secret)

    async def ListSources(  # noqa: N802 - the RPC's name
        self, request: webhook_ingest_pb2.ListSourcesRequest, context: Context
    ) -> webhook_ingest_pb2.ListSourcesResponse:
        """Lists sources by name."""
        size = page_size(request.page_size)
        found = await self._sources.list_page(after=from_token(request.page_token), limit=size + 1)
        return webhook_ingest_pb2.ListSourcesResponse(
            sources=[_source(source) for source in found[:size]],
            next_page_token=to_token(found[size - 1].name) if len(found) > size else "",
        )

    async def RotateSource(  # noqa: N802 - the RPC's name
        self, request: webhook_ingest_pb2.RotateSourceRequest, context: Context
    ) -> webhook_ingest_pb2.RotateSourceResponse:
        """Adds a secret."""
        rotated = await self._sources.rotate(request.name, request.overlap_seconds, _origin())
        return webhook_ingest_pb2.RotateSourceResponse(source=_source(rotated.source), secret=rotated.secret)

    async def ListWebhooks(  # noqa: N802 - the RPC's name
        self, request: webhook_ingest_pb2.ListWebhooksRequest, context: Context
    ) -> webhook_ingest_pb2.ListWebhooksResponse:
        """Lists webhooks, newest first."""
        size = page_size(request.page_size)
        state = _STATES.get(request.state)
        if request.state and state is None:
            raise InvalidRequest("there is no such state.", field="state")
        found = await list_page(
            self._database,
            source=request.source,
            state=state,
            before=from_token(request.page_token),
            limit=size + 1,
        )
        return webhook_ingest_pb2.ListWebhooksResponse(
            webhooks=[self._webhook(view) for view in found[:size]],
            next_page_token=to_token(found[size - 1].webhook_id) if len(found) > size else "",
        )

    def _webhook(self, view: WebhookView) -> webhook_ingest_pb2.Webhook:
        return webhook_ingest_pb2.Webhook(
            webhook_id=view.webhook_id,
            source=view.source,
            provider_event_id=view.provider_event_id,
            kind=view.kind,
            state=STATES_OUT[view.state],
            signature_result=view.signature_result,
            body_sha256=view.body_sha256,
            receive_time=from_time(view.received_at),
            attempts=[
                webhook_ingest_pb2.WebhookAttempt(
                    number=attempt.number,
                    attempt_time=from_time(attempt.attempted_at),
                    outcome=attempt.outcome,
                    detail=attempt.detail,
                )
                for attempt in view.attempts
            ],
            mode=self._mode,
            refusal_reason=view.refusal_reason,
            first_webhook_id=view.first_webhook_id,
        )


def _source(source: Source) -> webhook_ingest_pb2.Source:
    return webhook_ingest_pb2.Source(
        name=source.name,
        path=source.path,
        kinds=[str(kind) for kind in source.kinds],
        create_time=from_time(source.created_at),
        active_secret_count=source.active_secret_count,
        scheme=_SCHEMES_OUT[source.scheme],
        signature_header=source.signature_header,
    )


def _origin() -> Origin:
    return Origin(current_request_id.get(), current_traceparent())
