"""Errors as partners read them over HTTP."""

from poolkit.errors import DomainError


def error_body(error: DomainError, request_id: str) -> dict[str, str | int]:
    """The body of an error response. Source: contract section 5."""
    return {
        "type": error.reason.type,
        "code": error.reason.code,
        "message": error.message,
        "request_id": request_id,
        "doc_url": error.reason.doc_url,
        "statusCode": error.reason.http_status,
    }
