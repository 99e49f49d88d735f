"""A partner's whole integration in one file: price, accept, be told, and reconcile, over REST.

It needs `httpx` and `standardwebhooks`, and three things from your account: the address of the API, a secret key, and
the secret of the webhook endpoint that points at this program.

    POOLS_API=https://… POOLS_KEY=sk_test_… POOLS_WEBHOOK_SECRET=whsec_… python partner.py --order order-1042
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import os
import queue
import sys
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
from standardwebhooks import Webhook, WebhookVerificationError

TRIES = 6
TRY_AGAIN = {"idempotency_in_progress", "rate_limited"}
"""Codes that say "later" beside every 503; `Retry-After` says how much later."""


class PoolsError(Exception):
    """A refusal. Decide by `code`, which is stable; the message is for people, and the request id for support."""

    def __init__(self, code: str, message: str, request_id: str) -> None:
        super().__init__(f"{code}: {message} ({request_id})")
        self.code = code


class Pools:
    """The calls this integration makes. Money stays text, or becomes `Decimal`; never a float."""

    def __init__(self, api: str, key: str) -> None:
        # The API answers within two seconds; a little longer than that is worth waiting for.
        self._http = httpx.Client(base_url=api, headers={"Authorization": f"Bearer {key}"}, timeout=5.0)

    def pools(self) -> list[dict[str, Any]]:
        """The pools this organization may use."""
        pools: list[dict[str, Any]] = self._call("GET", "/v1/pools")["pools"]
        return pools

    def quote(self, pool_id: str, **terms: str) -> dict[str, Any]:
        """A firm quote: it can be accepted once, until `expiresAt`. `available` may be false, which is no error."""
        return self._call("POST", f"/v1/pools/{pool_id}/quote", json={"type": "firm", **terms})

    def transact(self, quote: Mapping[str, Any], *, key: str) -> dict[str, Any]:
        """Accepts a quote. However often it is sent with one key, there is one trade."""
        path = f"/v1/pools/{quote['poolId']}/transact"
        return self._call("POST", path, json={"quoteId": quote["quoteId"]}, headers={"Idempotency-Key": key})

    def transaction(self, quote_id: str) -> dict[str, Any]:
        """The trade of a quote as it is now. Asks the settlement provider too, so it is more than waiting."""
        return self._call("GET", f"/v1/pools/transactions/{quote_id}")

    def funding(self, currency: str) -> dict[str, Any]:
        """How to pay money in."""
        return self._call("GET", "/v1/pools/funding", params={"currency": currency})

    def trades(self, **filters: str) -> Iterator[dict[str, Any]]:
        """Every trade, newest first."""
        return self._pages("/v1/pools/trades", "trades", filters)

    def entries(self, currency: str) -> Iterator[dict[str, Any]]:
        """Every ledger entry in a currency, newest first."""
        return self._pages("/v1/pools/ledger", "entries", {"currency": currency})

    def _pages(self, path: str, rows: str, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        # A cursor says where the page before ended: what comes meanwhile is neither shown twice nor makes one miss any.
        cursor: dict[str, str] = {}
        while True:
            page = self._call("GET", path, params={**query, **cursor, "limit": "100"})
            yield from page[rows]
            if not page["hasMore"]:
                return
            cursor = {"cursor": page["nextCursor"]}

    def _call(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        """Sends a request until it is answered.

        A timeout, a broken connection and a 503 leave the outcome unknown: never take them for "no", but ask again with
        the very same request. A transact is safe to repeat by its key, a read by nature; a quote asked for twice is a
        second quote, and the first expires by itself.
        """
        pause_seconds = 0.2
        for tries_left in reversed(range(TRIES)):
            try:
                response = self._http.request(method, path, **request)
            except httpx.TransportError:
                if not tries_left:
                    raise
            else:
                if response.is_success:
                    return _object(response)
                error = _object(response)
                code = str(error.get("code", f"http_{response.status_code}"))
                later = response.status_code == httpx.codes.SERVICE_UNAVAILABLE or code in TRY_AGAIN
                if not later or not tries_left:
                    request_id = response.headers.get("X-Request-Id", "")
                    raise PoolsError(code, str(error.get("message", "")), request_id)
                pause_seconds = max(pause_seconds, float(response.headers.get("Retry-After", 0)))
            time.sleep(pause_seconds)
            pause_seconds *= 2
        raise AssertionError("the last try returns or raises")


def _object(response: httpx.Response) -> dict[str, Any]:
    """The JSON object of an answer; empty where something on the way answered with something else."""
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def verify(secret: str, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """The event, if we are sure who sent it. The body is verified as it came, before it is parsed.

    One scheme is enough; this one is Standard Webhooks, with its library. Raises WebhookVerificationError.
    """
    Webhook(secret).verify(body, {name.lower(): value for name, value in headers.items()})
    event: dict[str, Any] = json.loads(body)
    return event


def verify_plain(secret: str, header: str, body: bytes, *, tolerance_seconds: int = 300) -> bool:
    """The same without a library: `Pools-Signature: t=<unix>,v1=<hex>`, several `v1` while a secret is rotated."""
    fields = [field.partition("=") for field in header.split(",")]
    sent_at = next((value for name, _, value in fields if name == "t"), "")
    if not sent_at.isdecimal() or abs(time.time() - int(sent_at)) > tolerance_seconds:
        return False
    expected = hmac.new(secret.encode(), sent_at.encode() + b"." + body, hashlib.sha256).hexdigest()
    return any(name == "v1" and hmac.compare_digest(value, expected) for name, _, value in fields)


class WebhookReceiver:
    """Takes webhooks, one time each. A real one stores the event before it answers 200, and works on it afterwards."""

    def __init__(self, host: str, port: int, secret: str) -> None:
        self.events: queue.Queue[dict[str, Any]] = queue.Queue()
        seen: set[str] = set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), 65_536))
                try:
                    event = verify(secret, dict(self.headers), body)
                except WebhookVerificationError:
                    self.send_response(401)
                else:
                    self.send_response(200)
                    # Delivered at least once: the event's id tells a repeat from news.
                    if event["eventId"] not in seen:
                        seen.add(event["eventId"])
                        plain = verify_plain(secret, self.headers.get("Pools-Signature", ""), body)
                        receiver.events.put({**event, "plainCheckAgrees": plain})
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
                pass

        self._server = ThreadingHTTPServer((host, port), Handler)
        Thread(target=self._server.serve_forever, daemon=True).start()

    def event_of(self, transact_id: str, *, seconds: float) -> dict[str, Any] | None:
        """What was told of a trade; None when nothing came in time."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                event = self.events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return None
            if event["data"]["transactId"] == transact_id:
                return event


def buy(pools: Pools, pool_id: str, *, order: str, amount: str, destination: str) -> dict[str, Any]:
    """Accepts a price for an order of ours, once, however often this is called for it."""
    for _ in range(3):
        quote = pools.quote(
            pool_id,
            side="on_ramp",
            amount=amount,
            amountCurrency="EUR",
            network="tron",
            destinationAddress=destination,
            clientReference=order,
        )
        if not quote["available"]:
            raise SystemExit(f"no price now ({quote['unavailableReason']}); try again in a moment")
        print(f"quoted    {quote['fiatAmount']} EUR for {quote['cryptoAmount']} USDT until {quote['expiresAt']}")
        try:
            # The key comes from the order, so that a restarted program sends the same one again.
            return pools.transact(quote, key=f"{order}/buy")
        except PoolsError as error:
            if error.code == "idempotency_conflict":
                # This order was accepted before, with an earlier quote. Who keeps quote ids can ask by them instead.
                return next(trade for trade in pools.trades() if trade["clientReference"] == order)
            if error.code == "insufficient_balance":
                how = pools.funding("EUR")
                raise SystemExit(f"not enough money; pay in with the reference {how['reference']}") from error
            if error.code != "quote_expired":
                raise
            # Too slow: nothing was bound, so the same key may accept the next price.
    raise SystemExit("three prices expired before they were accepted")


def entry_of(pools: Pools, transact_id: str, *, seconds: float) -> dict[str, Any] | None:
    """The ledger's entry of a settled trade, which follows its webhook within moments; None when it did not come."""
    deadline = time.monotonic() + seconds
    while True:
        found = next((entry for entry in pools.entries("EUR") if entry["transactId"] == transact_id), None)
        if found is not None or time.monotonic() > deadline:
            return found
        time.sleep(0.2)


def main() -> None:
    """One order from price to ledger."""
    parser = argparse.ArgumentParser(description="Buys USDT for EUR and follows the trade to the ledger.")
    parser.add_argument("--api", default=os.environ.get("POOLS_API", ""))
    parser.add_argument("--listen", default="127.0.0.1:8400", help="where the webhook endpoint points")
    parser.add_argument("--order", required=True, help="your own order id")
    parser.add_argument("--amount", default="100.00")
    parser.add_argument("--destination", default="TQexampleexampleexampleexample0001")
    asked = parser.parse_args()
    host, _, port = asked.listen.rpartition(":")
    receiver = WebhookReceiver(host, int(port), os.environ["POOLS_WEBHOOK_SECRET"])
    pools = Pools(asked.api, os.environ["POOLS_KEY"])

    pool = next(pool for pool in pools.pools() if pool["pair"] == "EUR/USDT")
    trade = buy(pools, pool["id"], order=asked.order, amount=asked.amount, destination=asked.destination)
    print(f"accepted  {trade['transactId']} is {trade['status']}")

    event = receiver.event_of(trade["transactId"], seconds=30) if trade["status"] == "reserved" else None
    if event is None:
        # Told before, not told yet, or never (a return has no webhook): the status poll knows.
        trade = pools.transaction(trade["quoteId"])
    else:
        trade = event["data"]
        print(f"told      {event['type']} as {event['eventId']}, plain check agrees: {event['plainCheckAgrees']}")
    print(f"ended     {trade['transactId']} is {trade['status']}")

    if trade["status"] == "settled" and entry_of(pools, trade["transactId"], seconds=10) is None:
        print("booked    not yet; look again before the day is closed")
    for listed in pools.trades(status="settled", side="on_ramp"):
        print(f"trade     {listed['transactId']} {listed['fiatAmount']} EUR for {listed['clientReference']}")
    for entry in pools.entries("EUR"):
        print(f"entry     {entry['delta']:>10} EUR {entry['reason']:<14} leaves {entry['balanceAfter']}")


if __name__ == "__main__":
    try:
        main()
    except PoolsError as error:
        sys.exit(f"refused: {error}")
