"""The manifests: valid, told exactly what the code reads, and each workload probed, bounded and let drain."""

import json
import re
import subprocess
import sysconfig
from pathlib import Path, PurePosixPath

import pytest

from gateway.settings import GatewaySettings
from poolkit.runtime import CLOSE_SECONDS_MAX
from poolkit.settings import ServiceSettings
from tests.integration.deploy.rendered import (
    COMPONENT,
    DEPLOYMENTS,
    FOLDERS,
    JOBS,
    NAME,
    OVERLAYS,
    Reference,
    Workload,
    of_kind,
    render,
    workloads,
)
from tests.integration.deploy.told import accepted, disagreements, file_settings, is_unhindered, settings_for
from tests.unit.house.tree import ROOT, SERVICES

VALIDATE = Path(sysconfig.get_path("scripts")) / "kubernetes-validate"
# What a service has to do between SIGTERM and its end, at most: consumers, loops, servers and two batchers drain one
# after the other, and four things are closed (poolkit.runtime).
DRAINS, CLOSES = 5, 4


def test_the_workloads_that_tests_look_at_are_all_that_is_rendered() -> None:
    assert sorted(map(str, workloads())) == sorted([*DEPLOYMENTS, *JOBS])


def test_everything_is_valid_to_the_letter(tmp_path: Path) -> None:
    # The overlays repeat what the folders have, so each is looked at once. Strimzi's are in no schema but its own.
    distinct = {}
    for item in (item for folder in FOLDERS for item in render(folder) if item["kind"] != "KafkaTopic"):
        body = {name: part for name, part in item.items() if name != "metadata"}
        distinct.setdefault(json.dumps([body, item["metadata"]["name"].partition("-")[0]], sort_keys=True), item)
    file = tmp_path / "manifests.yaml"
    file.write_text("---\n".join(json.dumps(item) + "\n" for item in distinct.values()))
    done = subprocess.run([VALIDATE, "--strict", "--quiet", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_manifest_with_a_field_that_kubernetes_does_not_know_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "service.yaml"
    misspelt = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "quote"}, "spec": {"clusterIp": "None"}}
    file.write_text(json.dumps(misspelt))
    done = subprocess.run([VALIDATE, "--strict", file], capture_output=True, text=True, check=False)
    assert done.returncode != 0


@pytest.mark.parametrize("workload", [*DEPLOYMENTS, *JOBS], indirect=True)
def test_a_container_is_told_all_that_its_program_reads_and_nothing_else(
    workload: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    label = workload.template["metadata"]["labels"][NAME]
    command = workload.command
    settings = settings_for(label, () if command == ("serve",) else command)
    told = workload.environment
    assert disagreements(settings, set(told), str(workload)) == []
    read = accepted(settings, told, monkeypatch)
    if isinstance(read, ServiceSettings):
        assert read.crashpoint == ""
        assert read.mode == ("live" if "dev" not in workload.folder else "test")
    if isinstance(read, GatewaySettings):
        assert is_unhindered(read) is (read.mode == "test")


@pytest.mark.parametrize("workload", [*DEPLOYMENTS, *JOBS], indirect=True)
def test_secrets_are_referred_to_and_never_said(workload: Workload) -> None:
    secret_words = ("DATABASE_URL", "PEPPER", "KEY", "SECRET", "TOKEN")
    said = {name for name, value in workload.environment.items() if not isinstance(value, Reference)}
    assert {name for name in said if name.endswith(secret_words)} == set()
    assert of_kind(workload.objects, "Secret") == {}


@pytest.mark.parametrize("workload", DEPLOYMENTS, indirect=True)
def test_a_file_that_a_program_is_told_of_is_mounted(workload: Workload) -> None:
    settings = settings_for(workload.template["metadata"]["labels"][NAME], ())
    mounts = {mount["mountPath"]: mount["name"] for mount in workload.container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in workload.pod["volumes"]}
    for name in file_settings(settings) & workload.environment.keys():
        told = PurePosixPath(str(workload.environment[name]))
        [mount] = [path for path in mounts if told.is_relative_to(path)]
        volume = volumes[mounts[mount]]
        if "secret" in volume:
            assert told.name in {item["path"] for item in volume["secret"]["items"]}
        else:
            assert volume["configMap"]["optional"] is True


@pytest.mark.parametrize("workload", DEPLOYMENTS, indirect=True)
def test_a_deployment_is_probed_on_the_port_that_tells_health_alone(workload: Workload) -> None:
    container = workload.container
    health = workload.ports["health"]
    listen = workload.environment["POOLS_HEALTH_LISTEN"]
    assert listen == f"0.0.0.0:{health}"
    assert container["startupProbe"]["grpc"] == {"port": health, "service": "liveness"}
    assert container["livenessProbe"]["grpc"] == {"port": health, "service": "liveness"}
    assert container["readinessProbe"]["grpc"] == {"port": health}
    assert container["startupProbe"]["failureThreshold"] * container["startupProbe"]["periodSeconds"] >= 60


@pytest.mark.parametrize("workload", DEPLOYMENTS, indirect=True)
def test_a_deployment_has_time_to_drain(workload: Workload) -> None:
    sleep = workload.container["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain = float(
        str(workload.environment.get("POOLS_DRAIN_SECONDS", ServiceSettings.model_fields["drain_seconds"].default))
    )
    needed = sleep + DRAINS * drain + CLOSES * CLOSE_SECONDS_MAX
    assert 0 < sleep < needed < workload.pod["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("workload", DEPLOYMENTS, indirect=True)
def test_a_rollout_never_leaves_fewer_replicas_ready_than_before(workload: Workload) -> None:
    assert workload.manifest["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    labels = workload.template["metadata"]["labels"]
    [budget] = [
        budget
        for budget in of_kind(workload.objects, "PodDisruptionBudget").values()
        if budget["spec"]["selector"]["matchLabels"].items() <= labels.items()
    ]
    assert budget["spec"]["maxUnavailable"] == 1


@pytest.mark.parametrize("workload", [place for place in DEPLOYMENTS if not place.endswith("/sandbox")], indirect=True)
def test_a_service_is_spread_and_scaled(workload: Workload) -> None:
    selector = workload.manifest["spec"]["selector"]["matchLabels"]
    spread = workload.pod["topologySpreadConstraints"]
    assert {item["topologyKey"] for item in spread} == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}
    assert all(item["labelSelector"]["matchLabels"] == selector for item in spread)
    scaler = of_kind(workload.objects, "HorizontalPodAutoscaler")[workload.name]
    assert scaler["spec"]["scaleTargetRef"]["name"] == workload.name
    assert scaler["spec"]["minReplicas"] >= (1 if "dev" in workload.folder else 2)
    assert "replicas" not in workload.manifest["spec"]


@pytest.mark.parametrize("workload", [*DEPLOYMENTS, *JOBS], indirect=True)
def test_a_container_may_do_nothing_it_does_not_need_and_is_bounded(workload: Workload) -> None:
    pod, container = workload.pod, workload.container
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    for bound in ("requests", "limits"):
        assert {"cpu", "memory"} <= container["resources"][bound].keys()
    assert pod["serviceAccountName"] in of_kind(workload.objects, "ServiceAccount")


@pytest.mark.parametrize("service", SERVICES)
def test_the_migration_is_applied_alone_by_its_label_and_holds_no_runtime_secret(service: str) -> None:
    objects = render(service)
    labelled = [item for item in objects if item["metadata"].get("labels", {}).get(COMPONENT) == "migration"]
    assert sorted(item["kind"] for item in labelled) == ["Job", "NetworkPolicy", "ServiceAccount"]
    [job] = [Workload(service, item, objects) for item in labelled if item["kind"] == "Job"]
    assert job.environment == {"POOLS_MIGRATOR_DATABASE_URL": Reference(f"{service}-migrator", "database-url")}
    assert job.pod["serviceAccountName"] in {item["metadata"]["name"] for item in labelled}
    [deployment] = workloads("Deployment", folders=(service,))
    assert f"{service}-migrator" not in {secret.secret for secret in deployment.secrets}


def test_every_secret_that_is_referred_to_is_in_the_readme() -> None:
    readme = (ROOT / "deploy" / "k8s" / "README.md").read_text(encoding="utf-8")
    needed = {secret for item in workloads() for secret in item.secrets}
    assert {f"{one.secret}/{one.key}" for one in needed if f"`{one.secret}`, `{one.key}`" not in readme} == set()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_puts_all_services_into_one_namespace_and_names_every_image(overlay: str) -> None:
    objects = render(overlay)
    [namespace] = of_kind(objects, "Namespace")
    assert {item["metadata"].get("namespace") for item in objects if item["kind"] != "Namespace"} == {namespace}
    assert set(SERVICES) <= set(of_kind(objects, "Deployment"))
    images = {item.container["image"] for item in workloads(folders=(overlay,))}
    assert {image for image in images if not image.startswith("registry.example/pools/")} == set()
    if overlay == "overlays/prod":
        # A tag may mean another image tomorrow.
        assert {image for image in images if re.search(r"@sha256:[0-9a-f]{64}$", image) is None} == set()
