"""Prometheus in a cluster: it finds every replica of the services and nothing else, under the names rules go by."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.contract.test_observability import RULES
from tests.integration.deploy.rendered import Workload, of_kind, render, workloads
from tests.unit.house.tree import ROOT, SERVICES

FILE = ROOT / "deploy" / "observability" / "prometheus-kubernetes.yaml"
CONFIG: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
[JOB] = CONFIG["scrape_configs"]


def found(workload: Workload) -> list[dict[str, str]]:
    """The labels of each target that a pod of this workload becomes, as relabelling makes them."""
    pod = {
        f"__meta_kubernetes_pod_label_{re.sub('[^a-z0-9]', '_', name)}": value
        for name, value in workload.template["metadata"]["labels"].items()
    }
    targets = []
    for port in workload.ports:
        target = pod | {
            "__meta_kubernetes_pod_container_port_name": port,
            "__meta_kubernetes_pod_name": f"{workload.name}-0",
        }
        kept = True
        for rule in JOB["relabel_configs"]:
            [source] = rule["source_labels"]
            if rule.get("action") == "keep":
                kept = kept and target.get(source) == rule["regex"]
            else:
                target[rule["target_label"]] = target[source]
        if kept:
            targets.append({name: value for name, value in target.items() if not name.startswith("__")})
    return targets


@pytest.mark.parametrize("overlay", ["overlays/prod", "overlays/dev"])
def test_every_replica_of_every_service_is_a_target_once_and_nothing_else_is(overlay: str) -> None:
    targets = [target for workload in workloads(folders=(overlay,)) for target in found(workload)]
    assert targets == [{"job": target["job"], "instance": f"{target['job']}-0"} for target in targets]
    assert sorted(target["job"] for target in targets) == sorted(SERVICES)


def test_it_looks_where_production_is() -> None:
    [discovery] = JOB["kubernetes_sd_configs"]
    assert discovery == {"role": "pod", "namespaces": {"names": list(of_kind(render("overlays/prod"), "Namespace"))}}


def test_prometheus_reads_it_with_all_rules(tmp_path: Path) -> None:
    assert [(FILE.parent / name).resolve() for name in CONFIG["rule_files"]] == [file.resolve() for file in RULES]
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed here; Debian's package `prometheus` has it")
    # Debian's Prometheus is built without Kubernetes; the rest it reads as any other does.
    others = {key: value for key, value in JOB.items() if key != "kubernetes_sd_configs"}
    rules = [str(FILE.parent / name) for name in CONFIG["rule_files"]]
    (tmp_path / "prometheus.yaml").write_text(
        yaml.safe_dump(CONFIG | {"rule_files": rules, "scrape_configs": [others]})
    )
    command = [promtool, "check", "config", tmp_path / "prometheus.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
