"""Each log line tells which request and trace it belongs to, and never tells a secret."""

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pytest
import structlog
from pydantic import SecretStr

from poolkit import logs
from poolkit.context import current_request_id
from poolkit.logs import of_request
from poolkit.received import named_in
from poolkit.security import new_api_key, new_webhook_secret
from poolkit.telemetry.tracing import span

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-00"


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Logs as JSON into memory; call it for the lines so far."""
    stream = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure_logging("quote", "info", "json", stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)


Lines = Callable[[], list[dict[str, Any]]]


def test_line_says_when_where_how_bad_and_what(lines: Lines) -> None:
    logs.get_logger(loop="relay").warning("relay_behind", rows=12)
    (line,) = lines()
    assert line.pop("time").endswith("Z")
    assert line == {"event": "relay_behind", "level": "warning", "service": "quote", "loop": "relay", "rows": 12}


def test_line_carries_the_request_and_trace_it_belongs_to(lines: Lines) -> None:
    token = current_request_id.set("req_1")
    try:
        with span("quote.MakeQuotes", traceparent=TRACEPARENT):
            logs.get_logger().info("quote_made")
            logging.getLogger("a.library").warning("it said something")
            logs.get_logger().info("quote_expired", request_id="req_0")
    finally:
        current_request_id.reset(token)
    made, library, expired = lines()
    assert (made["request_id"], made["trace_id"]) == ("req_1", TRACE_ID)
    assert (library["request_id"], library["trace_id"]) == ("req_1", TRACE_ID)
    assert library["logger"] == "a.library"
    # What a line says of itself stands: a batch logs about many requests.
    assert expired["request_id"] == "req_0"


def test_lines_below_the_level_are_not_written(lines: Lines) -> None:
    logs.get_logger().debug("too_fine")
    logging.getLogger("a.library").debug("too fine")
    logging.getLogger("aiokafka").info("too chatty")
    assert lines() == []


SECRETS = {
    "secret key": new_api_key("sk", "test"),
    "live key": new_api_key("sk", "live"),
    "publishable key": new_api_key("pk", "test"),
    "webhook secret": new_webhook_secret(),
    "bearer": "Bearer abc.def-123",
    "url": "postgresql://runtime:p%40ss:w@rd@db:5432/quote",
    "parameter": "host=db password=swordfish dbname=quote",
}
GIVEAWAYS = {
    **{name: value[8:] for name, value in SECRETS.items()},
    "bearer": "abc.def-123",
    "url": "w@rd",
    "parameter": "swordfish",
}


@pytest.mark.parametrize("kind", SECRETS)
def test_secret_is_masked_by_its_looks_wherever_it_stands(lines: Lines, kind: str) -> None:
    value = SECRETS[kind]
    log = logs.get_logger()
    log.info("plain", text=value)
    event = f"in the event {value}, too"
    log.info(event)
    log.info("deep", a=[{"b": ("c", {"d": f"x={value}"})}])
    log.info("object", error=RuntimeError(value))
    logging.getLogger("a.library").warning("argument %s", value)
    try:
        raise RuntimeError(value)
    except RuntimeError:
        log.exception("raised")
        logging.getLogger("a.library").exception("raised")
    written = lines()
    assert len(written) == 7
    for line in written:
        assert GIVEAWAYS[kind] not in json.dumps(line)
        assert "[redacted]" in json.dumps(line)
    assert "RuntimeError" in written[5]["exception"]
    assert "RuntimeError" in written[6]["exception"]


@pytest.mark.parametrize(
    "name",
    [
        "secret", "client_secret", "clientSecret", "Authorization", "webhook-signature", "Pools-Signature", "password",
        "access_tokens", "key_pepper", "encryption_key", "Cookie", "api_key", "secret_key",
    ],
)  # fmt: skip
def test_secret_is_masked_by_its_name_at_any_depth(lines: Lines, name: str) -> None:
    logs.get_logger().info("x", **{name: "swordfish"}, headers={name: "swordfish"}, listed=[{name: ["swordfish"]}])
    (line,) = lines()
    assert line[name] == line["headers"][name] == line["listed"][0][name] == "[redacted]"


def test_what_only_sounds_like_a_secret_stays_readable(lines: Lines) -> None:
    facts = {"signature_result": "valid", "signature": True, "idempotency_key": "order-1", "key_label": "server"}
    facts |= {"quote_id": "pq_test_01J", "url": "https://partner.example/hook", "tokens": 3}
    logs.get_logger().info("received", **facts)
    (line,) = lines()
    assert facts.items() <= line.items()


def test_values_json_does_not_know_are_written_as_text_and_payloads_not_at_all(lines: Lines) -> None:
    logs.get_logger().info("x", amount=Decimal("1.10"), body=b"raw", pepper=None, hidden=SecretStr("swordfish"))
    (line,) = lines()
    assert (line["amount"], line["body"], line["pepper"]) == ("1.10", "[3 bytes]", None)
    assert "swordfish" not in json.dumps(line)


def test_line_stays_bounded_and_a_secret_at_the_cut_stays_masked(lines: Lines) -> None:
    key = new_api_key("sk", "live")
    padding = "x" * (logs.TEXT_LENGTH_MAX - 20)
    logs.get_logger().info("x", text=f"{padding}{key}{padding}")
    (line,) = lines()
    assert len(line["text"]) <= logs.TEXT_LENGTH_MAX
    assert key[8:12] not in line["text"]


def test_warnings_are_logged_too(lines: Lines) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("something is old", UserWarning, stacklevel=1)
    (line,) = lines()
    assert line["logger"] == "py.warnings"


def test_console_lines_are_for_people_and_as_discreet() -> None:
    stream = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        logs.configure_logging("quote", "info", "console", stream)
        try:
            raise RuntimeError(SECRETS["secret key"])
        except RuntimeError:
            logs.get_logger().exception("raised", signature="swordfish")
    finally:
        structlog.reset_defaults()
        logging.captureWarnings(capture=False)
        root.handlers[:] = handlers
        root.setLevel(level)
    text = stream.getvalue()
    assert "raised" in text
    assert "RuntimeError" in text
    assert "swordfish" not in text
    assert GIVEAWAYS["secret key"] not in text


def test_a_line_said_in_a_loop_names_the_request_it_is_about() -> None:
    traceparent = f"00-{'a' * 32}-{'b' * 16}-00"
    assert of_request("req_1", traceparent) == {"request_id": "req_1", "trace_id": "a" * 32}
    assert of_request("req_1", "") == {"request_id": "req_1"}
    assert of_request("", "not a traceparent") == {}
    headers = [("event-id", b"e1"), ("request-id", b"req_1"), ("traceparent", traceparent.encode()), ("type", b"\xff")]
    named = named_in(cast("Any", SimpleNamespace(headers=headers)))
    assert named == {"event_id": "e1", "request_id": "req_1", "trace_id": "a" * 32}
    assert named_in(cast("Any", SimpleNamespace(headers=[]))) == {}
