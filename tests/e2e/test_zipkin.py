"""`poolctl up --zipkin`: a real Zipkin beside the stack, which gives a whole trace back over its API."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from poolctl.receiver import WebhookReceiver
from poolctl.session import Addresses, Session
from poolctl.stack.layout import Layout
from poolctl.stack.process import ProcessIdentity
from tests.e2e.commands import Poolctl
from tests.e2e.partners import PartnerFactory
from tests.waiting import eventually

pytestmark = pytest.mark.long

SERVICES = {"gateway", "trade", "quote", "ledger", "webhook-ingest"}
RESIDENT_BYTES_MAX = 450_000_000
"""Heap and metaspace at their bounds, and what Java needs besides."""


@pytest.fixture(scope="module")
async def directory(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Path]:
    """A data directory of the module's own, in which nothing runs any more afterwards."""
    made = tmp_path_factory.mktemp("zipkin")
    yield made
    await Poolctl(made)("down")
    shutil.rmtree(made)


async def test_a_whole_transact_is_read_back_from_zipkin_which_comes_back_when_it_dies(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Every trace, also those that begin while others do.
    monkeypatch.setenv("POOLS_TRACE_SAMPLES_PER_SECOND_MAX", "1000")
    poolctl = Poolctl(directory)
    # Where it was never fetched that takes its time, and says how far it is.
    started = await poolctl("up", "--detach", "--zipkin", "--json", seconds=600)
    assert started.status == 0, started.stderr
    document = started.document
    assert (await poolctl.answer("status"))["parts"]["zipkin"]["ready"] is True
    zipkin = Layout.at(directory).pid_file("zipkin")
    process = psutil.Process(_identity(zipkin).pid)
    sockets = [one for one in process.net_connections("inet") if one.status == psutil.CONN_LISTEN]
    assert {one.laddr.ip.removeprefix("::ffff:") for one in sockets} == {"127.0.0.1"}

    async with (
        Session(Addresses.of(document)) as session,
        WebhookReceiver() as receiver,
        httpx.AsyncClient(base_url=document["zipkin"], trust_env=False) as http,
    ):
        partners = PartnerFactory(session, receiver)
        try:
            page = await http.get("/zipkin/")
            assert "<title>Zipkin</title>" in page.text
            await _told_whole(http, partners, receiver, poolctl)
            assert process.memory_info().rss < RESIDENT_BYTES_MAX

            # Nobody's business is to wait for a page: without it trades go on, and it is started again.
            os.kill(process.pid, signal.SIGKILL)
            partner = await partners()
            trade = await partner.rest.accept()
            await receiver.event_of(trade["transactId"], seconds=15)
            await eventually(lambda: _answers(http), "Zipkin is back", seconds=60)
            await _told_whole(http, partners, receiver, poolctl)
        finally:
            await partners.close()
    assert (await poolctl.answer("down"))["stopped"] is True
    assert not zipkin.exists()


async def _told_whole(
    http: httpx.AsyncClient, partners: PartnerFactory, receiver: WebhookReceiver, poolctl: Poolctl
) -> None:
    """Accepts a quote, and reads from Zipkin what each of the five services did of it, every span in its place."""
    partner = await partners()

    trade = await partner.rest.accept()
    await receiver.event_of(trade["transactId"], seconds=15)

    async def kept() -> dict[str, Any] | None:
        shown = await poolctl("trace", trade["requestId"], "--json")
        told = shown.document["spans"] if shown.status == 0 else []
        return shown.document if "webhook attempt" in {span["name"] for span in told} else None

    shown = await eventually(kept, "the stack's own store has the trace", seconds=20, every_seconds=0.5)
    trace_id = shown["traceIds"][0]

    own = {span["spanId"] for span in shown["spans"] if span["traceId"] == trace_id}

    async def sent() -> list[dict[str, Any]] | None:
        answer = await http.get(f"/api/v2/trace/{trace_id}")
        spans: list[dict[str, Any]] = answer.json() if answer.status_code == 200 else []
        return spans if own <= {span["id"] for span in spans} else None

    spans = await eventually(sent, "Zipkin has all of it", seconds=20, every_seconds=0.2)
    assert {span["localEndpoint"]["serviceName"] for span in spans} >= SERVICES
    ids = {span["id"] for span in spans}
    assert {span["parentId"] for span in spans if "parentId" in span} <= ids, "no span hangs in the air"
    roots = [span for span in spans if "parentId" not in span]
    assert [root["name"] for root in roots] == ["post /v1/pools/{id}/transact"]


async def _answers(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/health")).status_code == 200
    except httpx.TransportError:
        return False


def _identity(pid_file: Path) -> ProcessIdentity:
    identity = ProcessIdentity.read(pid_file)
    assert identity is not None
    return identity
