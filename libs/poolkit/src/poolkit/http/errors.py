"""Errors as partners read them over HTTP."""

import json

from poolkit.context import current_request_id
from poolkit.errors import DOCUMENTATION_URL, DomainError
from poolkit.http.types import Scope, Send, whole_answer


def error_body(error: DomainError, request_id: str, documentation_url: str = DOCUMENTATION_URL) -> dict[str, str | int]:
    """The body of an error response. Source: contract section 5."""
    return {
        "type": error.reason.type,
        "code": error.reason.code,
        "message": error.message,
        "request_id": request_id,
        "doc_url": f"{documentation_url}#{error.reason.code}",
        "statusCode": error.reason.http_status,
    }


async def send_error(error: DomainError, _scope: Scope, send: Send) -> None:
    """Answers the request being served with the error."""
    body = json.dumps(error_body(error, current_request_id.get())).encode()
    await send(whole_answer(error.reason.http_status, [(b"content-type", b"application/json")], body))
