"""Each service's README lists what there is: every setting, port, RPC, topic, table and alert of its code."""

import importlib.util
import re
import subprocess
import sys

import pytest

from poolkit import kafka
from poolkit.kafka import CONSUMING_SERVICES
from poolkit.settings import MigratorSettings, variable
from pools_contracts.policies import POLICIES
from tests.contract.test_observability import alerts
from tests.integration.deploy.rendered import workloads
from tests.integration.deploy.told import settings_of
from tests.unit.house.tree import ROOT, SERVICES

TABLE = re.compile(r"CREATE (?:UNLOGGED )?TABLE (?:IF NOT EXISTS )?(\w+)")
TOPIC_NAMES = {name for name, value in vars(kafka).items() if isinstance(value, str) and value in kafka.TOPICS}


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest) -> str:
    """Each service by its folder."""
    return str(request.param)


@pytest.fixture
def readme(service: str) -> str:
    """What its README says."""
    return (ROOT / "services" / service / "README.md").read_text(encoding="utf-8")


def source(service: str) -> str:
    return "\n".join(path.read_text("utf-8") for path in sorted((ROOT / "services" / service / "src").rglob("*.py")))


def test_the_reference_is_what_make_docs_would_write() -> None:
    command = [sys.executable, "services/readmes.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_lists_every_setting(service: str, readme: str) -> None:
    fields = [*settings_of(service).model_fields, *MigratorSettings.model_fields]
    assert [name for name in fields if f"| `{variable(name)}` |" not in readme] == []


def test_it_lists_every_port_with_its_number(service: str, readme: str) -> None:
    [deployment] = workloads("Deployment", folders=(service,))
    listens = [variable(name) for name in settings_of(service).model_fields if name.endswith("_listen")]
    numbers = {name: str(deployment.environment[name]).rpartition(":")[2] for name in listens}
    assert len(numbers) >= 3
    assert [name for name, number in numbers.items() if f"| {number} | `{name}` |" not in readme] == []


def test_every_alert_is_listed_by_whom_it_is_about_and_none_that_is_not() -> None:
    readmes = {name: (ROOT / "services" / name / "README.md").read_text(encoding="utf-8") for name in SERVICES}
    listed = {
        name: set(re.findall(r"^\| `(\w+)` \| (?:page|ticket) \| \[", text, re.MULTILINE))
        for name, text in readmes.items()
    }
    assert set().union(*listed.values()) == {rule["alert"] for rule in alerts()}
    about = {
        "TransactLatencyBurn": {"gateway"},
        "SettlementSlow": {"trade"},
        "LedgerMismatch": {"ledger"},
        "OutboxLag": {"quote", "trade", "webhook-ingest"},
        "ConsumerLag": set(CONSUMING_SERVICES),
        "ServiceDown": set(SERVICES),
    }
    assert {alert: {name for name in SERVICES if alert in listed[name]} for alert in about} == about


def test_it_lists_every_rpc_of_its_contract(service: str, readme: str) -> None:
    package = f"pools.{SERVICES[service]}.v1."
    own = {full: policy for full, policy in POLICIES.items() if full.startswith(package)}
    assert own
    missing = [
        f"{full}/{method}"
        for full, policy in own.items()
        for method in (*policy.repeatable, *policy.once)
        if not re.search(rf"\| `{re.escape(full)}` \|.*\b{method}\b", readme)
    ]
    assert missing == []


def test_it_names_every_topic_that_its_code_names(service: str, readme: str) -> None:
    used = {str(getattr(kafka, name)) for name in TOPIC_NAMES if re.search(rf"\b{name}\b", source(service))}
    if service in CONSUMING_SERVICES:
        used.add(kafka.dead_letter_topic(service, "live"))
    assert {topic for topic in used if f"`{topic}`" not in readme} == set()


def test_it_names_every_table_that_its_migrations_make(service: str, readme: str) -> None:
    spec = importlib.util.spec_from_file_location("migrations_linter", ROOT / ".ci" / "migrations.py")
    assert spec is not None
    assert spec.loader is not None
    linter = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(linter)
    directory = ROOT / "services" / service / "migrations" / "versions"
    tables = {table for _, sql in linter.emitted(directory) for table in TABLE.findall(sql)}
    assert tables
    assert {table for table in tables if f"`{table}`" not in readme} == set()
