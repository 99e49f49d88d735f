"""The traces' collector: wired as a whole, where the services send to, and keeping what must be kept."""

import re
from typing import Any

import yaml

from pools_contracts.policies import POLICIES
from tests.integration.deploy.rendered import workloads
from tests.unit.house.tree import ROOT, SERVICES

OBSERVABILITY = ROOT / "deploy" / "observability"
CONFIG: dict[str, Any] = yaml.safe_load((OBSERVABILITY / "otel-collector.yaml").read_text(encoding="utf-8"))
SENT_AFTER_SECONDS = 5
"""How long a service gathers spans before it sends them (OTEL_BSP_SCHEDULE_DELAY's default)."""


def seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+)(ms|s)", text)
    assert found is not None
    return float(found[1]) / (1000 if found[2] == "ms" else 1)


def policies() -> dict[str, dict[str, Any]]:
    return {policy["type"]: policy for policy in CONFIG["processors"]["tail_sampling"]["policies"]}


def test_every_part_is_wired_and_every_wire_has_a_part() -> None:
    service = CONFIG["service"]
    [pipeline] = service["pipelines"].values()
    for kind in ("receivers", "processors", "exporters"):
        assert sorted(pipeline[kind]) == sorted(CONFIG[kind])
    assert sorted(service["extensions"]) == sorted(CONFIG["extensions"])


def test_it_bounds_its_memory_first_and_decides_over_whole_traces_before_it_sends() -> None:
    processors = CONFIG["service"]["pipelines"]["traces"]["processors"]
    assert processors[0] == "memory_limiter"
    assert processors[-1] == "batch"
    assert processors.index("tail_sampling") < processors.index("attributes/no-secrets") < processors.index("batch")


def test_it_waits_until_all_that_a_partner_waits_for_has_come() -> None:
    deadline = POLICIES["pools.gateway.v1.PartnerService"].deadline_seconds
    sampling = CONFIG["processors"]["tail_sampling"]
    assert seconds(sampling["decision_wait"]) > deadline + SENT_AFTER_SECONDS


def test_every_error_and_every_slow_trace_is_kept_and_a_part_of_the_rest() -> None:
    assert policies().keys() == {"status_code", "latency", "probabilistic"}
    assert policies()["status_code"]["status_code"] == {"status_codes": ["ERROR"]}
    # Slow is what the promise to partners calls slow.
    slo = (OBSERVABILITY / "rules" / "slo.yaml").read_text(encoding="utf-8")
    [promised] = set(re.findall(r'le="([0-9.]+)"', slo))
    assert policies()["latency"]["latency"]["threshold_ms"] == float(promised) * 1000
    assert 0 < policies()["probabilistic"]["probabilistic"]["sampling_percentage"] < 100


def test_what_is_kept_goes_on_by_tls_unless_somebody_says_otherwise() -> None:
    assert CONFIG["exporters"]["otlp"]["tls"] == {"insecure": "${env:TRACES_INSECURE:-false}"}


def test_what_it_names_is_what_the_collector_that_is_tried_is_built_of() -> None:
    build = yaml.safe_load((OBSERVABILITY / "collector-build.yaml").read_text(encoding="utf-8"))
    kinds = {"receivers": "receiver", "processors": "processor", "exporters": "exporter", "extensions": "extension"}
    for kind, ending in kinds.items():
        modules = {part["gomod"].split()[0].rpartition("/")[2] for part in build[kind]}
        named = {name.partition("/")[0].replace("_", "") + ending for name in CONFIG[kind]}
        assert modules == named


def test_services_send_to_the_port_it_listens_on() -> None:
    port = CONFIG["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"].rpartition(":")[2]
    for service in SERVICES:
        [deployment] = workloads("Deployment", folders=(service,))
        assert str(deployment.environment["POOLS_OTLP_ENDPOINT"]).rpartition(":")[2] == port
    compose = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8"))["services"]
    assert compose["gateway"]["environment"]["POOLS_OTLP_ENDPOINT"] == f"http://traces:{port}"
    # By itself Jaeger listens within its own container only.
    assert compose["traces"]["environment"]["JAEGER_LISTEN_HOST"] == "0.0.0.0"
