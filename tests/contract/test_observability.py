"""Metrics keep their names; alerts, dashboards and runbooks speak of nothing that does not exist."""

from __future__ import annotations

import importlib
import importlib.util
import json
import pkgutil
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest
import yaml
from prometheus_client import REGISTRY

from poolkit.supervision import Loops

ROOT: Final = Path(__file__).parents[2]
OBSERVABILITY: Final = ROOT / "deploy" / "observability"
RULES: Final = (OBSERVABILITY / "rules" / "slo.yaml", OBSERVABILITY / "rules" / "operations.yaml")
SERVICES: Final = ("gateway", "quote", "trade", "webhook_ingest", "ledger")
# Given by Prometheus itself, or by the process collector of its client library.
GIVEN: Final = ("up", "process_cpu_seconds", "process_resident_memory_bytes")
SUFFIXES: Final = ("_total", "_bucket", "_sum", "_count", "_created")

METRICS: Final = {
    "http_server_duration_seconds": "histogram",
    "pools_batch_queue_items": "gauge",
    "pools_batch_size_items": "histogram",
    "pools_consumer_batch_events": "histogram",
    "pools_consumer_dead_letters": "counter",
    "pools_consumer_lag_events": "gauge",
    "pools_consumer_retries": "counter",
    "pools_database_connections": "gauge",
    "pools_database_waiting_statements": "gauge",
    "pools_dead_letters_waiting_events": "gauge",
    "pools_http_connections_cut": "counter",
    "pools_ledger_buried_events": "counter",
    "pools_ledger_close_duration_seconds": "histogram",
    "pools_ledger_closed_date_seconds": "gauge",
    "pools_ledger_mismatches": "gauge",
    "pools_outbox_lag_events": "gauge",
    "pools_outbox_lag_seconds": "gauge",
    "pools_outbox_published_events": "counter",
    "pools_partner_calls": "counter",
    "pools_quote_consumptions": "counter",
    "pools_quote_terminal_events": "counter",
    "pools_quotes": "counter",
    "pools_quotes_expired": "counter",
    "pools_quotes_given_back": "counter",
    "pools_rates_ignored": "counter",
    "pools_request_log_lost_rows": "counter",
    "pools_reserved_trade_age_seconds": "gauge",
    "pools_security_events": "counter",
    "pools_status_polls": "counter",
    "pools_trade_settlement_seconds": "histogram",
    "pools_trade_terminal_transitions": "counter",
    "pools_trades_reserved": "counter",
    "pools_webhook_attempts": "counter",
    "pools_webhook_endpoints_disabled": "counter",
    "pools_webhook_out_attempts": "counter",
    "pools_webhook_out_under_way": "gauge",
    "pools_webhooks_received": "counter",
    "pools_webhooks_unprocessed": "gauge",
    "pools_webhooks_unprocessed_seconds": "gauge",
    "rpc_client_connected": "gauge",
    "rpc_server_duration_seconds": "histogram",
    "rpc_server_in_flight": "gauge",
    "service_certificate_expiry_seconds": "gauge",
    "service_loop_restarts": "counter",
    "service_ready": "gauge",
}
"""By name without the suffix that a counter is given: dashboards and alerts of those who run us depend on these."""


@pytest.fixture(scope="module")
def declared() -> dict[str, str]:
    """Every metric our code declares, and its type."""
    for package in (*SERVICES, "poolkit"):
        for found in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            if not found.name.endswith("__main__") and ".migrations" not in found.name:
                importlib.import_module(found.name)
    ours = ("pools_", "rpc_", "http_", "service_")
    return {family.name: family.type for family in REGISTRY.collect() if family.name.startswith(ours)}


def test_metrics_keep_their_names_and_types(declared: dict[str, str]) -> None:
    assert declared == METRICS


def alerts() -> list[dict[str, Any]]:
    groups = [group for file in RULES for group in yaml.safe_load(file.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def panels() -> list[tuple[str, str]]:
    """Every query of every dashboard, with its panel's title."""
    documents = [json.loads(file.read_text()) for file in sorted((OBSERVABILITY / "dashboards").glob("*.json"))]
    return [
        (panel["title"], target["expr"])
        for document in documents
        for panel in document["panels"]
        for target in panel["targets"]
    ]


def metrics_in(query: str) -> set[str]:
    """The metrics a query names, without what it records itself."""
    without_texts = re.sub(r'"[^"]*"|\[[^]]*\]|\b(?:by|on|without) ?\([^)]*\)|\{[^}]*\}', " ", query)
    names = set(re.findall(r"\b[a-z][a-z0-9]*(?:_[a-z0-9]+)+\b(?! *\()|\bup\b", without_texts))
    return {name for name in names if name not in ("ratio_rate5m", "histogram_quantile")}


def family(name: str) -> str:
    for suffix in SUFFIXES:
        if name.endswith(suffix) and name.removesuffix(suffix) in (*METRICS, *GIVEN):
            return name.removesuffix(suffix)
    return name


def test_alerts_and_dashboards_name_only_metrics_that_exist() -> None:
    recorded = re.compile(r"pools:[a-z_0-9:]+")
    queries = [*((rule["alert"], rule["expr"]) for rule in alerts()), *panels()]
    assert len(queries) > 50
    for title, query in queries:
        named = {family(name) for name in metrics_in(recorded.sub(" ", query))}
        assert named <= {*METRICS, *GIVEN}, (title, named - {*METRICS, *GIVEN})


def test_every_alert_says_how_bad_it_is_and_leads_to_a_runbook_that_names_it() -> None:
    for rule in alerts():
        assert rule["labels"]["severity"] in ("page", "ticket"), rule["alert"]
        text = (ROOT / rule["annotations"]["runbook_url"]).read_text()
        assert f"`{rule['alert']}`" in text
        for heading in ("## Meaning", "## First three commands", "## Decide", "## Undo"):
            assert heading in text, (rule["alert"], heading)
        index = (ROOT / "docs" / "runbooks" / "README.md").read_text()
        assert f"| `{rule['alert']}` |" in index


def test_what_an_alert_waits_to_see_grow_is_there_before_it_has(declared: dict[str, str]) -> None:
    async def idle() -> None:
        """Any loop."""

    # Prometheus sees no increase where a series begins with 1: whoever waits for the first must be shown the zero.
    Loops().add("tested", idle)
    waited_for = {
        name for rule in alerts() for name in re.findall(r"increase\((\w+)\[\w+\]\)\) > [0-3]$", rule["expr"])
    }
    assert len(waited_for) >= 4
    assert {family(name) for name in waited_for} <= declared.keys()
    shown = {sample.name for metric in REGISTRY.collect() for sample in metric.samples}
    assert waited_for - shown == set()


def test_every_alert_has_a_test() -> None:
    tested = (OBSERVABILITY / "rules" / "tests.yaml").read_text()
    assert [rule["alert"] for rule in alerts() if f"alertname: {rule['alert']}\n" not in tested] == []


def test_the_rules_ring_when_they_should() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed here; Debian's package `prometheus` has it")
    command = [promtool, "test", "rules", str(OBSERVABILITY / "rules" / "tests.yaml")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_dashboards_are_those_of_their_panels() -> None:
    directory = OBSERVABILITY / "dashboards"
    for name, text in builder(directory / "build.py").dashboards().items():
        assert (directory / name).read_text() == text, (
            f"run `python deploy/observability/dashboards/build.py` for {name}"
        )


def builder(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("dashboards_build", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
