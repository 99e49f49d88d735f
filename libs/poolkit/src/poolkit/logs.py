"""Structured logs: one line an event, with the request id and trace id it belongs to, and without secrets."""

import functools
import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, TextIO, cast

import structlog
from structlog.typing import FilteringBoundLogger, Processor

from poolkit.context import current_request_id
from poolkit.telemetry import traceparent as w3c
from poolkit.telemetry.tracing import current_trace_id

REDACTED: Final = "[redacted]"
TEXT_LENGTH_MAX: Final = 16_384
DEPTH_MAX: Final = 6

_SECRET_NAMES: Final = (
    "secret",
    "authorization",
    "signature",
    "password",
    "passphrase",
    "token",
    "cookie",
    "pepper",
    "apikey",
    "encryptionkey",
    "privatekey",
    "publishablekey",
    "secretkey",
)
_SECRET_VALUES: Final = re.compile(
    r"(?P<key>(?:sk|pk)_(?:test|live)_)[A-Za-z0-9]+"
    r"|(?P<webhook>whsec_)[A-Za-z0-9+/=_-]+"
    r"|(?P<bearer>\b[Bb]earer )\S+"
    # Greedy up to the last @ before the path, because a password may hold one itself.
    r"|(?P<parameter>\b[Pp]assword=)[^\s&]+"
    r"|(?P<url>://[^/\s:@]*:)[^/\s]+(?=@)"
)
# A secret of each kind above holds one of these. Looking for them first is twenty times as fast as the pattern, and
# almost no text holds any.
_SECRET_TRACES: Final = ("k_test_", "k_live_", "whsec_", "earer ", "assword=", "://")
# What logs below warning in the libraries would say on every request or poll, and our own lines say better.
_QUIETED: Final = ("aiokafka", "alembic", "asyncio", "grpc", "kafka", "sqlalchemy", "uvicorn.access")


def configure_logging(service: str, level: str = "info", format: str = "json", stream: TextIO | None = None) -> None:  # noqa: A002 - the setting's own name
    """Send everything, the libraries' own logging included, to `stream` (stderr by default) as `json` or `console`."""
    output = stream or sys.stderr
    level_number = logging.getLevelNamesMapping()[level.upper()]

    def add_service(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["service"] = service
        return event

    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        add_service,
        add_request,
        structlog.processors.format_exc_info,
        redact,
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if format == "json"
        # The traceback is text by then, so that secrets in it were redacted like all others.
        else structlog.dev.ConsoleRenderer(
            colors=output.isatty(), timestamp_key="time", exception_formatter=structlog.dev.plain_traceback
        )
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level_number),
        logger_factory=structlog.WriteLoggerFactory(file=output),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, redact, renderer],
        )
    )
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(level_number)
    logging.captureWarnings(capture=True)
    for name in _QUIETED:
        logging.getLogger(name).setLevel(max(level_number, logging.WARNING))


def get_logger(**bound: Any) -> FilteringBoundLogger:
    """A logger whose every line carries `bound`: `get_logger(loop="relay").info("relay_woken", rows=12)`."""
    return cast("FilteringBoundLogger", structlog.get_logger(**bound))


def add_request(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put the current request id and trace id on the line; a line about something else may name its own."""
    request_id = current_request_id.get()
    if request_id:
        event.setdefault("request_id", request_id)
    trace_id = current_trace_id()
    if trace_id:
        event.setdefault("trace_id", trace_id)
    return event


def of_request(request_id: str, traceparent: str) -> dict[str, str]:
    """The ids for a line about one request, said where none is under way: in a loop that serves many of them."""
    ids = {"request_id": request_id, "trace_id": w3c.trace_id_of(traceparent) if w3c.is_valid(traceparent) else ""}
    return {name: value for name, value in ids.items() if value}


def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace what is secret by its name or by its looks, at any depth; the last step before the line is written."""
    for name, value in event.items():
        # structlog's own entries hold the record that is being formatted.
        if name[0:1] != "_":
            event[name] = REDACTED if names_secret(name) and _is_text(value) else _clean(value, DEPTH_MAX)
    return event


@functools.lru_cache(maxsize=1024)
def names_secret(name: str) -> bool:
    """Whether what bears this name must not be shown: `secret`, `Pools-Signature`, `accessTokens`, `key_pepper`."""
    return name.lower().replace("_", "").replace("-", "").removesuffix("s").endswith(_SECRET_NAMES)


def scrub(text: str) -> str:
    """Mask API keys, webhook secrets, bearer tokens and passwords in URLs wherever they stand in a text."""
    for secret_trace in _SECRET_TRACES:
        if secret_trace in text:
            break
    else:
        return text[:TEXT_LENGTH_MAX]
    # Cut after masking, or half a secret at the cut would no longer look like one.
    bounded = text[: 2 * TEXT_LENGTH_MAX]
    return _SECRET_VALUES.sub(lambda match: f"{match[match.lastgroup or 0]}{REDACTED}", bounded)[:TEXT_LENGTH_MAX]


def _is_text(value: Any) -> bool:
    # A flag or a count under a secret's name (`signature: false`) gives nothing away; everything else might.
    return not (value is None or isinstance(value, bool | int | float))


def _clean(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return scrub(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        # Raw bytes are payloads or secrets; neither belongs on a log line.
        return f"[{len(value)} bytes]"
    if depth > 0 and isinstance(value, Mapping):
        return {
            str(name): REDACTED if names_secret(str(name)) and _is_text(inner) else _clean(inner, depth - 1)
            for name, inner in value.items()
        }
    if depth > 0 and isinstance(value, list | tuple | set | frozenset):
        return [_clean(inner, depth - 1) for inner in value]
    return scrub(str(value))
