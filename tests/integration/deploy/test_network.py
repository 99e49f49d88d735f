"""Who may reach whom: the network policies are the calls that the code makes, and no more."""

from collections.abc import Iterator
from typing import Any

import pytest

from poolkit.kafka import CONSUMING_SERVICES, TOPICS, dead_letter_topic, topic, wanted_topics
from poolkit.rpc.callers import ALLOWED
from poolkit.settings import variable
from tests.integration.deploy.rendered import COMPONENT, NAME, Object, Workload, of_kind, render, workloads
from tests.integration.deploy.told import settings_of
from tests.unit.house.tree import SERVICES

Edge = tuple[str, str, int]
GRPC, HEALTH, METRICS = 9000, 9001, 9002
DATABASE, BROKER, COLLECTOR, DNS, HTTPS = 5432, 9092, 4317, 53, 443


def colleagues(service: str) -> set[str]:
    """Whom a service calls, by its settings `<colleague>_address`."""
    names = [name for name in settings_of(service).model_fields if name.endswith("_address")]
    return {name.removesuffix("_address").replace("_", "-") for name in names}


def partner_ports(service: str) -> set[int]:
    """The ports that are no colleague's, as the Deployment opens them."""
    [deployment] = workloads("Deployment", folders=(service,))
    return set(deployment.ports.values()) - {GRPC, HEALTH, METRICS}


def needed_egress() -> set[Edge]:
    """Every way out that the code takes."""
    edges = {(service, callee, GRPC) for service in SERVICES for callee in colleagues(service)}
    for service in SERVICES:
        edges |= {(service, "namespace pools-data", DATABASE), (service, "namespace pools-data", BROKER)}
        edges |= {(service, "namespace observability", COLLECTOR), (service, "kube-dns", DNS)}
    # Partners' webhooks, and the provider's status API.
    return edges | {("gateway", "internet", HTTPS), ("webhook-ingest", "internet", HTTPS)}


def needed_ingress() -> set[Edge]:
    """Every way in."""
    edges = {(service, callee, GRPC) for service in SERVICES for callee in colleagues(service)}
    for service in SERVICES:
        edges |= {("operator", service, GRPC), ("namespace observability", service, METRICS)}
        edges |= {("namespace ingress", service, port) for port in partner_ports(service)}
    return edges


def peer_name(peer: Object) -> str:
    if "ipBlock" in peer:
        assert {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"} <= set(peer["ipBlock"]["except"])
        return "internet"
    if "namespaceSelector" in peer:
        if "podSelector" in peer:
            return str(peer["podSelector"]["matchLabels"]["k8s-app"])
        return f"namespace {peer['namespaceSelector']['matchLabels']['kubernetes.io/metadata.name']}"
    labels = peer["podSelector"]["matchLabels"]
    return str(labels.get(NAME, labels[COMPONENT]))


def serving_policies(folders: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The policies of what serves, by whom they select."""
    for folder in folders:
        for policy in of_kind(render(folder), "NetworkPolicy").values():
            labels = policy["spec"]["podSelector"].get("matchLabels", {})
            if labels.get(COMPONENT) == "service":
                yield labels[NAME], policy["spec"]


def edges(folders: tuple[str, ...]) -> tuple[set[Edge], set[Edge]]:
    """All that policies let out, and all that they let in."""
    out, into = set(), set()
    for owner, spec in serving_policies(folders):
        for rule in spec.get("egress", ()):
            assert rule["to"], "no rule lets out to everyone"
            out |= {(owner, peer_name(peer), port["port"]) for peer in rule["to"] for port in rule["ports"]}
        for rule in spec.get("ingress", ()):
            assert rule["from"], "no rule lets in everyone"
            into |= {(peer_name(peer), owner, port["port"]) for peer in rule["from"] for port in rule["ports"]}
    return out, into


def test_services_reach_exactly_whom_their_code_calls() -> None:
    out, into = edges(tuple(SERVICES))
    assert {"missing": needed_egress() - out, "too much": out - needed_egress()} == {
        "missing": set(),
        "too much": set(),
    }
    assert {"missing": needed_ingress() - into, "too much": into - needed_ingress()} == {
        "missing": set(),
        "too much": set(),
    }


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_serves_exactly_the_services_that_can_reach_it(service: str) -> None:
    package = f"pools.{SERVICES[service]}.v1."
    served = {caller for path, callers in ALLOWED.items() if path.startswith(package) for caller in callers}
    assert served & set(SERVICES) == {caller for caller in SERVICES if service in colleagues(caller)}


def test_production_opens_nothing_that_the_services_do_not() -> None:
    assert edges(("overlays/prod",)) == edges(tuple(SERVICES))


def test_the_sandbox_opens_its_own_ways_and_no_other() -> None:
    out, into = edges(("overlays/dev",))
    more_out, more_in = out - edges(tuple(SERVICES))[0], into - edges(tuple(SERVICES))[1]
    assert {edge for edge in more_out | more_in if "sandbox" not in edge} == set()
    calls = {(caller, callee, port) for caller, callee, port in more_in if caller == "sandbox"}
    assert calls == {("sandbox", "quote", GRPC), ("sandbox", "trade", GRPC), ("sandbox", "webhook-ingest", 8080)}


@pytest.mark.parametrize("folder", [*SERVICES, "topics/job", "sandbox"])
def test_every_pod_is_selected_by_a_policy_that_closes_both_ways(folder: str) -> None:
    policies = of_kind(render(folder), "NetworkPolicy").values()
    for workload in workloads(folders=(folder,)):
        labels = workload.template["metadata"]["labels"].items()
        closed: set[str] = set()
        for policy in policies:
            if policy["spec"]["podSelector"]["matchLabels"].items() <= labels:
                closed |= set(policy["spec"]["policyTypes"])
        assert closed == {"Ingress", "Egress"}, str(workload)


def services_of(folder: str) -> dict[str, Object]:
    return of_kind(render(folder), "Service")


@pytest.mark.parametrize("service", SERVICES)
def test_a_colleague_is_called_at_a_headless_service_on_the_port_it_listens_on(service: str) -> None:
    [caller] = workloads("Deployment", folders=(service,))
    for callee in colleagues(service):
        address = caller.environment[variable(f"{callee.replace('-', '_')}_address")]
        host, _, port = str(address).partition(":")
        found = services_of(callee)[host]["spec"]
        # Headless: the name resolves to every replica, among which gRPC's round_robin shares the calls out.
        assert found["clusterIP"] == "None"
        [target] = [entry["targetPort"] for entry in found["ports"] if entry["port"] == int(port)]
        [deployment] = workloads("Deployment", folders=(callee,))
        assert deployment.environment["POOLS_GRPC_LISTEN"] == f"0.0.0.0:{deployment.ports[target]}"
        assert found["selector"].items() <= deployment.template["metadata"]["labels"].items()


@pytest.mark.parametrize("service", SERVICES)
def test_what_partners_reach_and_what_colleagues_reach_are_apart(service: str) -> None:
    [deployment] = workloads("Deployment", folders=(service,))
    by_port = listening(deployment)
    assert by_port.pop(GRPC) == "grpc_listen"
    assert by_port.pop(HEALTH) == "health_listen"
    assert by_port.pop(METRICS) == "metrics_listen"
    found = services_of(service)
    internal = {entry["targetPort"] for entry in found.pop(service)["spec"]["ports"]}
    assert internal == {"grpc"}
    outside = {deployment.ports[entry["targetPort"]] for one in found.values() for entry in one["spec"]["ports"]}
    assert outside == set(by_port)


def listening(deployment: Workload) -> dict[int, str]:
    """The setting behind each port that the container opens; every one of its ports is a setting's."""
    told = {
        int(str(deployment.environment[variable(name)]).rpartition(":")[2]): name
        for name in settings_of(deployment.name).model_fields
        if name.endswith("_listen")
    }
    assert set(told) == set(deployment.ports.values())
    return told


@pytest.mark.parametrize("mode", ["live", "test"])
def test_the_topics_are_those_that_the_code_would_make(mode: str) -> None:
    specs = {
        item["metadata"]["name"]: item["spec"] for item in of_kind(render(f"topics/{mode}"), "KafkaTopic").values()
    }
    declared = {
        name: (spec["partitions"], spec["replicas"], {key: str(value) for key, value in spec["config"].items()})
        for name, spec in specs.items()
    }
    wanted = wanted_topics(mode, replication_factor=3)
    assert declared == {one.name: (one.num_partitions, one.replication_factor, one.topic_configs) for one in wanted}
    names = {*(topic(name, mode) for name in TOPICS), *(dead_letter_topic(name, mode) for name in CONSUMING_SERVICES)}
    assert declared.keys() == names
