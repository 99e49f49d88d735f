"""Numbers that on-call goes by grow when what they count happens, and alerts ask for labels that there are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from poolctl.sandbox.names import SETTLEMENT_SOURCE
from poolctl.session import Session
from poolctl.stack import Stack
from poolctl.stack.ports import free_port
from pools.gateway.v1 import admin_pb2
from tests.contract.test_observability import RULES
from tests.e2e.partners import SETTLES, Partner, PartnerFactory
from tests.e2e.test_oncall import SERVICES, scraped
from tests.waiting import eventually

ENDINGS: Final = {"0001": "settled", "0002": "failed", "0003": "released", "0006": "returned"}
STUCK: Final = "0005"
# Source: contract section 10, and what each operation, hop and batch costs.
GROWS: Final[tuple[tuple[str, dict[str, str]], ...]] = (
    ("pools_partner_calls_total", {"operation": "list_pools", "outcome": "unauthorized"}),
    ("pools_partner_calls_total", {"operation": "transact", "outcome": "idempotency_conflict"}),
    ("pools_partner_calls_total", {"operation": "transact", "outcome": "ok", "edge": "rest"}),
    ("pools_quotes_total", {"type": "firm", "outcome": "available"}),
    ("pools_quote_consumptions_total", {"outcome": "consumed"}),
    ("pools_trades_reserved_total", {}),
    *(("pools_trade_terminal_transitions_total", {"status": status, "by": "report"}) for status in ENDINGS.values()),
    *(("pools_quote_terminal_events_total", {"status": status}) for status in ENDINGS.values()),
    ("pools_trade_settlement_seconds_count", {"status": "settled"}),
    ("pools_webhook_out_attempts_total", {"outcome": "delivered"}),
    ("pools_webhook_out_attempts_total", {"outcome": "connection_failed"}),
    ("pools_webhooks_received_total", {"source": SETTLEMENT_SOURCE, "answer": "stored"}),
    ("pools_webhooks_received_total", {"source": SETTLEMENT_SOURCE, "answer": "duplicate"}),
    ("pools_webhooks_received_total", {"source": SETTLEMENT_SOURCE, "answer": "signature_invalid"}),
    ("pools_webhook_attempts_total", {"lane": "report", "outcome": "processed"}),
    ("pools_outbox_published_events_total", {"topic": "pools.trade.terminal.v1"}),
    *(("pools_consumer_batch_events_count", {"consumer": consumer}) for consumer in ("gateway", "quote", "ledger")),
    ("pools_batch_size_items_count", {}),
    ("http_server_duration_seconds_count", {"operation": "transact", "status": "200"}),
    ("rpc_server_duration_seconds_count", {"method": "TransactQuotes", "code": "OK"}),
)


class Sample(NamedTuple):
    """One line that a service shows."""

    name: str
    labels: dict[str, str]
    value: float


async def everything(stack: Stack) -> list[Sample]:
    """What all services show now."""
    pages = [await scraped(stack, service) for service in SERVICES]
    return [
        Sample(sample.name, sample.labels, sample.value)
        for page in pages
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    ]


def total(samples: list[Sample], name: str, labels: dict[str, str]) -> float:
    return sum(sample.value for sample in samples if sample.name == name and labels.items() <= sample.labels.items())


async def live(partner: Partner, webhooks: str) -> None:
    """A bit of everything: trades of every ending, and calls that are refused."""
    for ending in (*ENDINGS, STUCK):
        await partner.rest.accept(amount="10.00", destinationAddress=SETTLES[:-4] + ending)
    first, second = [(await partner.rest.quote(amount="10.00")).json()["quoteId"] for _ in range(2)]
    assert (await partner.rest.transact(first, key="one key")).status_code == 200
    assert (await partner.rest.transact(second, key="one key")).status_code == 409
    nobody = {"Authorization": "Bearer pk_test_nobody"}
    assert (await partner.rest.http.get("/v1/pools", headers=nobody)).status_code == 401
    unsigned = await partner.rest.http.post(f"{webhooks}/v1/webhooks/{SETTLEMENT_SOURCE}", content=b"{}")
    assert unsigned.status_code == 401


@pytest.fixture(scope="module")
async def lived(stack: Stack, session: Session, partners: PartnerFactory) -> list[Sample]:
    """What the services show once all of that has happened, each number having grown."""
    partner = await partners()
    # Where nobody listens.
    nowhere = admin_pb2.CreateWebhookEndpointRequest(
        organization_id=partner.organization_id, url=f"http://127.0.0.1:{free_port()}/"
    )
    await session.gateway.admin.CreateWebhookEndpoint(nowhere)
    before = await everything(stack)
    await live(partner, session.addresses.webhooks)

    async def grown() -> list[Sample]:
        now = await everything(stack)
        assert [row for row in GROWS if total(now, *row) <= total(before, *row)] == []
        # The one that nobody reports on.
        assert total(now, "pools_reserved_trade_age_seconds", {}) > 0
        return now

    return await eventually(grown, "every number has grown", seconds=30, every_seconds=0.5)


async def test_every_number_of_the_contract_moves(lived: list[Sample]) -> None:
    shown = {sample.name for sample in lived}
    # What is no counter tells how it is now, from the start.
    for gauge in ("outbox_lag_seconds", "consumer_lag_events", "ledger_mismatches", "dead_letters_waiting_events"):
        assert f"pools_{gauge}" in shown
    lags = {sample.labels["consumer"] for sample in lived if sample.name == "pools_consumer_lag_events"}
    assert {name.removeprefix("pools.").split(".")[0] for name in lags} == {"gateway", "quote", "ledger"}


def selectors() -> Iterator[tuple[str, str, str, str]]:
    """What rules ask for: a series' name, a label, how that is compared, and with which of the values."""
    for file in RULES:
        for group in yaml.safe_load(file.read_text())["groups"]:
            for rule in group["rules"]:
                for name, matchers in re.findall(r"([a-z_]+)\{([^}]*)\}", rule["expr"]):
                    for label, operator, values in re.findall(r'(\w+)(=~|!~|!=|=)"([^"]*)"', matchers):
                        yield from ((name, label, operator, value) for value in values.split("|"))


async def test_rules_ask_for_series_that_there_are(lived: list[Sample]) -> None:
    wanted = {asked for asked in selectors() if asked[0] != "up"}
    assert len(wanted) > 10
    shown = {(sample.name, label, value) for sample in lived for label, value in sample.labels.items()}
    # A word that no service says would make an alert that never rings, or one that always does.
    assert {(name, label, value) for name, label, _, value in wanted} - shown == set()


async def test_rules_gather_by_labels_that_there_are(lived: list[Sample]) -> None:
    # A certificate has a `name`, where there are any.
    labels = {label for sample in lived for label in sample.labels} | {"job", "instance", "name"}
    gathered = {
        label.strip()
        for file in RULES
        for by in re.findall(r"\bby \(([^)]*)\)", file.read_text())
        for label in by.split(",")
    }
    assert gathered <= labels
