"""Errors as partners read them over HTTP."""

from poolkit.errors import DOCUMENTATION_URL, DomainError


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
