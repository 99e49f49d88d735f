"""The examples that partners and colleagues copy do what they say, as processes of their own, on a bad line too."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from standardwebhooks import WebhookVerificationError

from poolctl.session import Addresses, Session
from poolkit.security import new_webhook_secret, pools_signature, sign_standard
from pools.gateway.v1 import admin_pb2
from tests.e2e.databases import Databases
from tests.e2e.partners import Partner, PartnerFactory

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


async def run(name: str, *words: str, **environment: str) -> tuple[int, list[str], str]:
    """Runs an example: its exit status, its lines, and what it complained of."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(EXAMPLES / name), *words),
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):
            out, complaints = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return process.returncode, out.decode().splitlines(), complaints.decode()


def words_after(lines: list[str], label: str) -> list[list[str]]:
    """The words of each line that begins with `label`."""
    return [line.split()[1:] for line in lines if line.startswith(f"{label} ")]


class BadLine:
    """Between an example and the API: the first transact is done and its answer lost, the second is answered 503."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self.keys: list[str] = []
        self.replayed: list[str] = []

    async def pass_on(self, request: web.Request) -> web.StreamResponse:
        transact = request.path.endswith("/transact")
        if transact:
            self.keys.append(request.headers["Idempotency-Key"])
            if len(self.keys) == 2:
                return web.json_response({"code": "overloaded", "message": "Later."}, status=503)
        headers = {name: value for name, value in request.headers.items() if name not in ("Host", "Accept-Encoding")}
        url = self._upstream + request.raw_path
        async with (
            aiohttp.ClientSession() as http,
            http.request(request.method, url, data=await request.read(), headers=headers) as answer,
        ):
            body = await answer.read()
        if transact:
            self.replayed.append(answer.headers.get("Idempotent-Replayed", ""))
            if len(self.keys) == 1 and request.transport is not None:
                request.transport.abort()
        return web.Response(body=body, status=answer.status, content_type="application/json")


@pytest.fixture
async def bad_line(addresses: Addresses) -> AsyncIterator[tuple[BadLine, str]]:
    line = BadLine(addresses.rest)
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", line.pass_on)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    yield line, f"http://{host}:{port}"
    await runner.cleanup()


async def endpoint_of_its_own(session: Session, partner: Partner) -> tuple[str, str]:
    """Where the example is to listen, and the secret that its webhooks are signed with."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{free.getsockname()[1]}"
    made = await session.gateway.admin.CreateWebhookEndpoint(
        admin_pb2.CreateWebhookEndpointRequest(organization_id=partner.organization_id, url=f"http://{listen}/")
    )
    return listen, made.secret


async def test_the_partners_example_buys_once_over_a_line_that_loses_answers(
    partners: PartnerFactory, session: Session, bad_line: tuple[BadLine, str], databases: Databases
) -> None:
    partner = await partners(endpoint=False)
    listen, secret = await endpoint_of_its_own(session, partner)
    line, api = bad_line
    environment = {"POOLS_API": api, "POOLS_KEY": partner.secret_key, "POOLS_WEBHOOK_SECRET": secret}
    status, lines, complaints = await run("partner.py", "--order", "order-7", "--listen", listen, **environment)
    assert status == 0, complaints

    assert line.keys == ["order-7/buy"] * 3
    assert line.replayed == ["", "true"]
    assert await databases.value("trade", "SELECT count(*) FROM trades WHERE client_reference = 'order-7'") == 1
    ((trade_id, _, reserved),) = words_after(lines, "accepted")
    assert reserved == "reserved"
    (told,) = words_after(lines, "told")
    assert (told[0], told[-1]) == ("pool.transaction.settled", "True")
    assert words_after(lines, "ended") == [[trade_id, "is", "settled"]]
    assert words_after(lines, "trade") == [[trade_id, "100.00", "EUR", "for", "order-7"]]
    debit, credit = words_after(lines, "entry")
    assert (debit, credit[:3]) == (
        ["-100.00", "EUR", "buy_debit", "leaves", "900.00"],
        ["1000.00", "EUR", "payin_credit"],
    )

    # Started again for the same order, as after a crash, it finds the trade it made.
    _, again, _ = await run("partner.py", "--order", "order-7", "--listen", listen, **environment)
    assert words_after(again, "accepted") == [[trade_id, "is", "settled"]]
    assert await databases.value("trade", "SELECT count(*) FROM trades WHERE client_reference = 'order-7'") == 1


async def test_the_partners_example_says_how_to_pay_in_when_money_is_short(
    partners: PartnerFactory, addresses: Addresses
) -> None:
    partner = await partners(paid_in="0", endpoint=False)
    environment = {"POOLS_KEY": partner.secret_key, "POOLS_WEBHOOK_SECRET": new_webhook_secret()}
    words = ("--api", addresses.rest, "--order", "order-8", "--listen", "127.0.0.1:0")
    status, _, complaints = await run("partner.py", *words, **environment)
    assert (status, complaints.startswith("not enough money; pay in with the reference ")) == (1, True), complaints

    unknown = {**environment, "POOLS_KEY": "sk_test_nobodyknowsthisone"}
    status, _, complaints = await run("partner.py", *words, **unknown)
    assert (status, complaints.startswith("refused: unauthorized: ")) == (1, True), complaints


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """The partner's example as a module."""
    spec = importlib.util.spec_from_file_location("partner_example", EXAMPLES / "partner.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_both_checks_of_the_example_take_only_what_was_signed_just_now(example: ModuleType) -> None:
    secret, other = new_webhook_secret(), new_webhook_secret()
    body, now = json.dumps({"eventId": "e"}).encode(), int(time.time())

    def taken(signed_with: list[str], sent_at: int, received: bytes) -> tuple[bool, bool]:
        signed: dict[str, Any] = sign_standard(signed_with, "e", sent_at, body)
        try:
            example.verify(secret, signed, received)
            by_library = True
        except WebhookVerificationError:
            by_library = False
        return by_library, example.verify_plain(secret, pools_signature(signed_with, sent_at, body), received)

    assert taken([secret], now, body) == (True, True)
    assert taken([other, secret], now, body) == (True, True)
    assert taken([other], now, body) == (False, False)
    assert taken([secret], now, body + b" ") == (False, False)
    assert taken([secret], now - 301, body) == (False, False)
    assert taken([secret], now + 310, body) == (False, False)
    assert not any(example.verify_plain(secret, header, body) for header in ("", "t=", "v1=", "t=x,v1=y", f"t={now}"))


async def test_the_internal_example_trades_and_finds_the_whole_journey(
    partners: PartnerFactory, addresses: Addresses, mtls: bool
) -> None:
    partner = await partners(endpoint=False)
    services = addresses.services
    words = [word for name in ("quote", "trade", "ledger", "gateway") for word in (f"--{name}", services[name])]
    if mtls:
        words += ["--certificates", str(addresses.layout.certificates / "internal")]
    status, lines, complaints = await run("internal.py", "--organization", partner.organization_id, *words)
    assert status == 0, complaints
    ((trade_id,),) = words_after(lines, "accepted")
    assert words_after(lines, "ended") == [[trade_id, "is", "TRADE_STATUS_SETTLED"]]
    assert ["1000.00", "EUR", "payin_credit"] in words_after(lines, "entry")
    assert {"quote", "trade", "ledger"} <= {words[0] for words in words_after(lines, "journey")}

    poor = await partners(paid_in="0", endpoint=False)
    status, _, complaints = await run("internal.py", "--organization", poor.organization_id, *words)
    assert (status, complaints.startswith("refused: insufficient_balance: ")) == (1, True), complaints
