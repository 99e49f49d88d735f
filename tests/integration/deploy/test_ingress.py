"""Who comes in from outside: partners and providers, by TLS, to the ports that are theirs and to no other."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.deploy.rendered import FOLDERS, NAME, OVERLAYS, Object, of_kind, render, workloads
from tests.integration.deploy.test_network import partner_ports
from tests.unit.house.tree import ROOT, SERVICES


def ways_in(folder: str) -> Iterator[tuple[str, str, int]]:
    """Each rule of an Ingress: its host, whom it leads to, and the port of the container."""
    objects = render(folder)
    services = of_kind(objects, "Service")
    for ingress in of_kind(objects, "Ingress").values():
        for host, backend in rules(ingress):
            service = services[backend["name"]]["spec"]
            [target] = [port["targetPort"] for port in service["ports"] if port["name"] == backend["port"]["name"]]
            assert service.get("clusterIP") != "None", "a proxy shares calls out, so it asks the Service"
            name = service["selector"][NAME]
            [deployment] = [one for one in workloads("Deployment", folders=(folder,)) if one.name == name]
            yield host, name, deployment.ports[target]


def rules(ingress: Object) -> Iterator[tuple[str, Any]]:
    for rule in ingress["spec"]["rules"]:
        for path in rule["http"]["paths"]:
            assert path["pathType"] == "Prefix"
            assert path["path"].endswith("/")
            yield rule["host"], path["backend"]["service"]


@pytest.mark.parametrize("service", SERVICES)
def test_every_port_of_strangers_has_one_way_in_and_no_port_of_colleagues_has_any(service: str) -> None:
    led_to = [(name, port) for _, name, port in ways_in(service)]
    assert sorted(led_to) == sorted((service, port) for port in partner_ports(service))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_lets_in_as_the_services_do_under_hosts_of_its_own(overlay: str) -> None:
    ways = list(ways_in(overlay))
    assert sorted(way[1:] for way in ways) == sorted(way[1:] for service in SERVICES for way in ways_in(service))
    hosts = [host for host, _, _ in ways]
    assert len(set(hosts)) == len(hosts)
    others = {host for other in OVERLAYS if other != overlay for host, _, _ in ways_in(other)}
    assert others.isdisjoint(hosts)


@pytest.mark.parametrize("folder", [*SERVICES, *OVERLAYS])
def test_whoever_comes_in_comes_by_tls_with_a_certificate_that_the_readme_speaks_of(folder: str) -> None:
    readme = (ROOT / "deploy" / "k8s" / "README.md").read_text(encoding="utf-8")
    for ingress in of_kind(render(folder), "Ingress").values():
        covered = {host for tls in ingress["spec"]["tls"] for host in tls["hosts"]}
        assert covered == {host for host, _ in rules(ingress)}
        assert all(f"`{tls['secretName']}`" in readme for tls in ingress["spec"]["tls"])
        assert f"`{ingress['metadata']['name']}`" in readme
        assert "defaultBackend" not in ingress["spec"]
        # What the services prove themselves to each other with is no business of the public's.
        assert {tls["secretName"] for tls in ingress["spec"]["tls"]}.isdisjoint(
            secret.secret for workload in workloads(folders=(folder,)) for secret in workload.secrets
        )


def test_no_service_has_an_address_outside_the_cluster() -> None:
    kinds = {
        service["spec"].get("type", "ClusterIP")
        for folder in FOLDERS
        for service in of_kind(render(folder), "Service").values()
    }
    assert kinds == {"ClusterIP"}


def test_grpc_is_told_to_the_proxy_as_http2() -> None:
    [port] = [
        port
        for port in of_kind(render("gateway"), "Service")["gateway-partners"]["spec"]["ports"]
        if port["name"] == "partner-grpc"
    ]
    assert port["appProtocol"] == "kubernetes.io/h2c"
