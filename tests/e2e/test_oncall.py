"""What on-call relies on: metrics that stay few, dashboards that show something, and runbooks whose commands work."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from poolctl.receiver import WebhookReceiver
from poolctl.session import Addresses
from poolctl.stack import Stack
from poolctl.stack.mtls import is_chosen
from poolctl.stack.ports import free_port
from poolkit.rpc.callers import OPERATOR
from tests.contract.test_observability import METRICS, ROOT, panels
from tests.e2e.commands import Poolctl
from tests.e2e.logs import leaks, lines_of, nameless
from tests.e2e.partners import Partner, PartnerFactory
from tests.waiting import eventually

SERVICES = ("gateway", "quote", "trade", "webhook-ingest", "ledger")
SERIES_MAX = 200
"""Of one metric of one process, a histogram counted once: methods, outcomes, pools and partitions are few."""
COUNTED_FROM_ZERO = {
    "gateway": [f'pools_webhook_endpoints_disabled_total{{reason="{reason}"}}' for reason in ("gone", "failing")],
    "webhook-ingest": [
        f'pools_webhook_attempts_total{{lane="{lane}",outcome="exception"}}' for lane in ("report", "payin")
    ],
}
"""What rings at its first increase: a series that begins with it shows none."""
ID = re.compile(r"\b[a-z]+_(?:test_|live_)?[0-9A-HJKMNP-TV-Z]{20,}")
"""Of whatever kind: a prefix and a ULID."""
RUNBOOKS = ROOT / "docs" / "runbooks"


@pytest.fixture(scope="module")
async def order(partners: PartnerFactory, receiver: WebhookReceiver) -> tuple[Partner, dict[str, Any]]:
    """A settled trade, and whose it is."""
    partner = await partners()
    trade = await partner.rest.accept()
    await receiver.event_of(trade["transactId"], seconds=15)
    return partner, trade


async def scraped(stack: Stack, service: str) -> str:
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(f"http://{stack.wiring.address(f'{service}.metrics')}/metrics")
    return answer.text


async def test_metrics_are_few_and_carry_no_ids(stack: Stack, order: tuple[Partner, dict[str, Any]]) -> None:
    seen: set[str] = set()
    for service in SERVICES:
        text = await scraped(stack, service)
        assert ID.search(text) is None
        assert [name for name in COUNTED_FROM_ZERO.get(service, ()) if name not in text] == []
        series: Counter[str] = Counter()
        for family in text_string_to_metric_families(text):
            series[family.name] += sum(
                not sample.name.endswith(("_bucket", "_sum", "_created")) for sample in family.samples
            )
            seen.add(family.name)
        assert {name: count for name, count in series.items() if count > SERIES_MAX} == {}
    assert set(METRICS) <= seen


@pytest.fixture(scope="module")
async def prometheus(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """A Prometheus that scrapes the stack; answers where its API is."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("Prometheus is not installed here; Debian's package `prometheus` has it")
    directory: Path = tmp_path_factory.mktemp("prometheus")
    jobs = [
        {"job_name": service, "static_configs": [{"targets": [stack.wiring.address(f"{service}.metrics")]}]}
        for service in SERVICES
    ]
    rules = [str(file) for file in (ROOT / "deploy" / "observability" / "rules").glob("*.yaml") if file.stem != "tests"]
    (directory / "prometheus.yaml").write_text(
        yaml.safe_dump({"global": {"scrape_interval": "1s"}, "scrape_configs": jobs, "rule_files": rules})
    )
    listen = f"127.0.0.1:{free_port()}"
    process = await asyncio.create_subprocess_exec(
        *(program, f"--config.file={directory}/prometheus.yaml", f"--storage.tsdb.path={directory}/data"),
        f"--web.listen-address={listen}",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield f"http://{listen}/api/v1"
    finally:
        process.terminate()
        await process.wait()
        shutil.rmtree(directory)


async def test_no_panel_of_a_dashboard_shows_nothing(
    prometheus: str, partners: PartnerFactory, order: tuple[Partner, dict[str, Any]]
) -> None:
    partner, _ = order
    async with httpx.AsyncClient(trust_env=False) as http:

        async def value(query: str) -> list[Any]:
            answer = await http.get(f"{prometheus}/query", params={"query": query})
            assert answer.status_code == 200, answer.text
            found: list[Any] = answer.json()["data"]["result"]
            return found

        async def scrapes() -> bool:
            try:
                ups = await value("min(count_over_time(up[1m]))")
            except httpx.TransportError:
                return False
            return bool(ups) and float(ups[0]["value"][1]) >= 2

        await eventually(scrapes, "every service is scraped twice", seconds=30)
        # A rate needs something that grew between two scrapes.
        await partner.rest.accept()
        empty = {query: title for title, query in panels()}

        async def shown() -> bool:
            for query in list(empty):
                if await value(query.replace("$__rate_interval", "1m")):
                    del empty[query]
            assert not empty
            return True

        await eventually(shown, "every panel shows something", seconds=15, every_seconds=0.5)


def commands() -> dict[str, str]:
    """The first commands of every runbook, and one page each stands on."""
    found: dict[str, str] = {}
    for page in sorted(RUNBOOKS.glob("*.md")):
        for block in re.findall(r"## First three commands\n```sh\n(.*?)```", page.read_text(), flags=re.DOTALL):
            for line in block.splitlines():
                if line.startswith("poolctl "):
                    found.setdefault(line.removeprefix("poolctl "), page.name)
    return found


@pytest.fixture
def deployed(addresses: Addresses, tmp_path: Path) -> Poolctl:
    """poolctl as on-call has it: not on the machine of the stack, told where its services are and nothing else."""
    where = {"mode": "test", "kafka": addresses.kafka, "webhooks": addresses.webhooks, "services": addresses.services}
    (tmp_path / "deployment.json").write_text(json.dumps(where))
    if is_chosen(addresses.layout):
        shutil.copytree(addresses.layout.certificates / OPERATOR, tmp_path / "certificates" / OPERATOR)
    return Poolctl(tmp_path)


async def test_the_first_commands_of_every_runbook_work(
    poolctl: Poolctl, deployed: Poolctl, order: tuple[Partner, dict[str, Any]]
) -> None:
    partner, trade = order
    today = datetime.now(UTC).date().isoformat()
    assert (await poolctl("close", "run", "--date", today)).status == 0
    parts = (await deployed.answer("status"))["parts"]
    assert {name: part["ready"] for name, part in parts.items()} == dict.fromkeys(parts, True)
    assert set(parts) == set(SERVICES)
    ids = {
        "ORG": partner.organization_id,
        "TRADE": trade["transactId"],
        "QUOTE": trade["quoteId"],
        "REQUEST": trade["requestId"],
        "TODAY": today,
    }
    wanted = commands()
    assert len(wanted) >= 10
    for line, page in wanted.items():
        words = [ids.get(word, word) for word in line.split()]
        # What needs the files of a stack says so to a deployment (tests/unit/poolctl/test_deployment.py).
        ended = await (poolctl if words[0] in ("trace", "certs") else deployed)(*words)
        assert ended.status == 0, (page, line, ended.stderr)


async def test_no_log_line_holds_a_secret_and_each_about_a_request_names_it(
    stack: Stack, order: tuple[Partner, dict[str, Any]]
) -> None:
    # The fixture looks once more when the last test has ended.
    assert order[1]["status"] == "reserved"
    lines = await asyncio.to_thread(lines_of, stack.layout.data_dir)
    assert lines
    assert leaks(lines, stack.layout, stack.addresses) == []
    assert nameless(lines) == []


def test_what_is_looked_for_in_logs_is_found(stack: Stack) -> None:
    secret = stack.wiring.secrets.key_pepper
    said = [f'{{"event": "x {secret}"}}', '{"event": "sk_test_0123456789abcdef"}', '{"event": "v1,' + "A" * 43 + '="}']
    assert leaks([*said, "nothing"], stack.layout, stack.addresses) == said
    named = '{"trade_id": "pt_test_1", "request_id": "req_1", "trace_id": "0af7"}'
    assert len(nameless([named, '{"trade_id": "pt_test_1"}', '{"request_id": "req_1"}', '{"event": "tick"}'])) == 2
