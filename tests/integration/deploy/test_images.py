"""The images: built in one stage and run in another that can do nothing but run, as nobody, from a pinned base."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.dockerfiles import DOCKERFILES, Dockerfile
from tests.integration.deploy.rendered import Workload, workloads
from tests.unit.house.tree import ROOT, SERVICES

PINNED = re.compile(r"^python:3\.11-slim-bookworm@sha256:[0-9a-f]{64}$")


@pytest.fixture(params=DOCKERFILES)
def name(request: pytest.FixtureRequest) -> str:
    """The name of each image."""
    return str(request.param)


@pytest.fixture
def dockerfile(name: str) -> Dockerfile:
    """The image's Dockerfile, parsed."""
    return Dockerfile.read(DOCKERFILES[name])


def deployed(name: str) -> Workload:
    [workload] = workloads("Deployment", folders=(name,))
    return workload


def test_both_stages_stand_on_a_slim_base_that_is_named_by_digest(dockerfile: Dockerfile) -> None:
    build, final = dockerfile.stages
    assert (build.base, build.name, final.base) == ("${PYTHON}", "build", "${PYTHON}")
    assert PINNED.match(dockerfile.arguments["PYTHON"])


def test_the_final_stage_runs_nothing_while_it_is_built_and_takes_only_the_environment(dockerfile: Dockerfile) -> None:
    final = dockerfile.stages[1]
    assert final.all("RUN") == []
    assert [copy.text for copy in final.all("COPY")] == ["--from=build /opt/pools /opt/pools"]
    assert final.all("ADD") == []


def test_nothing_is_compiled_and_every_foreign_package_is_checked_by_hash(dockerfile: Dockerfile) -> None:
    for run in dockerfile.stages[0].all("RUN"):
        command = run.exec_form
        assert {"apt-get", "apk", "gcc", "curl"} & set(command) == set()
        if "install" in command:
            hashed = {"--require-hashes", "--only-binary=:all:"} <= set(command)
            own = {"--no-deps", "--no-index"} <= set(command)
            assert hashed or own, run.text


def test_it_runs_as_nobody_and_is_told_to_stop_by_the_signal_it_drains_on(dockerfile: Dockerfile, name: str) -> None:
    final = dockerfile.stages[1]
    security = deployed(name).pod["securityContext"]
    assert final.one("USER").text == f"{security['runAsUser']}:{security['runAsGroup']}"
    assert final.one("STOPSIGNAL").text == "SIGTERM"
    # The last word on who it runs as: nothing after it changes that.
    assert [item.name for item in final.instructions].index("USER") > [item.name for item in final.instructions].index(
        "COPY"
    )


def test_it_is_started_without_a_shell_by_the_name_of_its_distribution(dockerfile: Dockerfile, name: str) -> None:
    final = dockerfile.stages[1]
    entry = final.one("ENTRYPOINT").exec_form
    if name in SERVICES:
        project = tomllib.loads((ROOT / DOCKERFILES[name].with_name("pyproject.toml")).read_text("utf-8"))["project"]
        assert entry == list(project["scripts"])
        assert final.one("CMD").exec_form == ["serve"]
    else:
        assert entry == ["python", "-m", "poolctl.sandbox"]


def test_it_asks_its_own_health_by_command(dockerfile: Dockerfile) -> None:
    options, _, command = dockerfile.stages[1].one("HEALTHCHECK").text.partition("CMD ")
    assert command == '["python", "-m", "poolkit.rpc.probe"]'
    assert {"--interval", "--timeout", "--start-period", "--retries"} == {
        word.split("=")[0] for word in options.split()
    }


def test_it_exposes_the_ports_that_its_deployment_opens(dockerfile: Dockerfile, name: str) -> None:
    exposed = {int(port) for port in dockerfile.stages[1].one("EXPOSE").words}
    assert exposed == set(deployed(name).ports.values())


def test_its_root_is_read_only_where_it_runs_and_bytecode_is_there_before(dockerfile: Dockerfile, name: str) -> None:
    assert deployed(name).container["securityContext"]["readOnlyRootFilesystem"] is True
    assert "compileall" in dockerfile.stages[0].all("RUN")[-1].exec_form


def allowed(source: str) -> bool:
    """Whether .dockerignore lets a path of ours through: the last line that speaks of it decides."""
    answer = True
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        pattern = line.removeprefix("!")
        if line and not line.startswith("#") and (pattern == "*" or Path(source).is_relative_to(pattern)):
            answer = line.startswith("!")
    return answer


def test_what_is_copied_is_there_and_reaches_the_builder(dockerfile: Dockerfile) -> None:
    for source, target in dockerfile.stages[0].copies():
        assert source == target
        assert source not in (".", "/")
        assert (ROOT / source).exists(), source
        assert allowed(source), source


def test_secrets_histories_and_other_peoples_stubs_never_reach_the_builder() -> None:
    for source in (".git", ".venv", "tests", "docs", "deploy/compose.yaml", "libs/contracts/src/pools"):
        assert not allowed(source), source


def test_the_services_are_built_alike() -> None:
    texts = {name: (ROOT / DOCKERFILES[name]).read_text(encoding="utf-8") for name in SERVICES}
    alike = {re.sub(r"(?m)^EXPOSE .*$", "", text.replace(name, "NAME")) for name, text in texts.items()}
    assert len(alike) == 1
