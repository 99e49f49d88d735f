"""The Kubernetes manifests as kubectl renders them, and what their containers are told."""

import subprocess
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.unit.house.tree import ROOT, SERVICES

K8S = ROOT / "deploy" / "k8s"
KUBECTL = Path(sysconfig.get_path("scripts")) / "kubectl"
OVERLAYS = ("overlays/prod", "overlays/dev")
FOLDERS = (*SERVICES, "sandbox", "topics/live", "topics/test", "topics/job", *OVERLAYS)
# Known without rendering, which takes longer than collecting tests may; a test compares them with what is rendered.
_DEPLOYED = {**{service: (service,) for service in SERVICES}, "sandbox": ("sandbox",)}
_DEPLOYED |= {"overlays/prod": tuple(SERVICES), "overlays/dev": (*SERVICES, "sandbox")}
_RUN_ONCE = {service: (f"{service}-migrate",) for service in SERVICES}
_RUN_ONCE |= {"sandbox": ("sandbox-sources",), "topics/job": ("topics",)}
_RUN_ONCE |= {"overlays/prod": tuple(f"{service}-migrate" for service in SERVICES)}
_RUN_ONCE |= {"overlays/dev": (*_RUN_ONCE["overlays/prod"], "sandbox-sources", "topics")}
DEPLOYMENTS = [f"{folder}:Deployment/{name}" for folder, names in _DEPLOYED.items() for name in names]
JOBS = [f"{folder}:Job/{name}" for folder, names in _RUN_ONCE.items() for name in names]
NAME, COMPONENT = "app.kubernetes.io/name", "app.kubernetes.io/component"

Object = Mapping[str, Any]


@cache
def render(folder: str) -> tuple[Object, ...]:
    """All objects that `kubectl apply -k deploy/k8s/<folder>` would apply."""
    done = subprocess.run([KUBECTL, "kustomize", K8S / folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def of_kind(objects: tuple[Object, ...], kind: str) -> dict[str, Object]:
    """The objects of a kind by name."""
    return {item["metadata"]["name"]: item for item in objects if item["kind"] == kind}


@dataclass(frozen=True)
class Reference:
    """A value that lies in a Secret."""

    secret: str
    key: str


@dataclass(frozen=True)
class Workload:
    """A Deployment or Job with its only container."""

    folder: str
    manifest: Object
    objects: tuple[Object, ...]

    def __str__(self) -> str:
        return f"{self.folder}:{self.manifest['kind']}/{self.name}"

    @property
    def name(self) -> str:
        return str(self.manifest["metadata"]["name"])

    @property
    def template(self) -> Object:
        return self.manifest["spec"]["template"]  # type: ignore[no-any-return]

    @property
    def pod(self) -> Object:
        return self.template["spec"]  # type: ignore[no-any-return]

    @property
    def container(self) -> Object:
        [container] = self.pod["containers"]
        return container  # type: ignore[no-any-return]

    @property
    def command(self) -> tuple[str, ...]:
        """What it runs, without the image's entry point."""
        return (*self.container.get("command", ()), *self.container.get("args", ()))

    @property
    def environment(self) -> dict[str, str | Reference]:
        """Every variable that the container gets, with its value or where that lies."""
        told: dict[str, str | Reference] = {}
        for source in self.container.get("envFrom", ()):
            told |= of_kind(self.objects, "ConfigMap")[source["configMapRef"]["name"]]["data"]
        for variable in self.container.get("env", ()):
            if "value" in variable:
                told[variable["name"]] = variable["value"]
            else:
                reference = variable["valueFrom"]["secretKeyRef"]
                told[variable["name"]] = Reference(reference["name"], reference["key"])
        return told

    @property
    def secrets(self) -> set[Reference]:
        """Every key of a Secret that the container sees, as a variable or as a file."""
        seen = {value for value in self.environment.values() if isinstance(value, Reference)}
        for volume in self.pod.get("volumes", ()):
            if "secret" in volume:
                seen |= {Reference(volume["secret"]["secretName"], item["key"]) for item in volume["secret"]["items"]}
        return seen

    @property
    def ports(self) -> dict[str, int]:
        return {port["name"]: port["containerPort"] for port in self.container.get("ports", ())}


def workloads(*kinds: str, folders: tuple[str, ...] = FOLDERS) -> Iterator[Workload]:
    """Every Deployment and Job in these folders, or those of the kinds named."""
    for folder in folders:
        objects = render(folder)
        for item in objects:
            if item["kind"] in (kinds or ("Deployment", "Job")):
                yield Workload(folder, item, objects)


def workload_at(place: str) -> Workload:
    """The workload of one entry of DEPLOYMENTS or JOBS."""
    [found] = [item for item in workloads(folders=(place.partition(":")[0],)) if str(item) == place]
    return found
