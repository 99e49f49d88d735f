"""compose.yaml: valid, told exactly what the code reads, each program after what it needs, published on loopback."""

import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.settings import GatewaySettings
from poolctl.certificate_files import CA, CERTIFICATE, KEY
from poolctl.stack.databases import DATABASES, migrator_role, runtime_role
from poolctl.stack.prepare_databases import DatabasesSettings
from poolkit.rpc.callers import CALLERS
from poolkit.settings import ServiceSettings
from tests.dockerfiles import DOCKERFILES, Dockerfile
from tests.integration.deploy.told import accepted, disagreements, is_unhindered, settings_for
from tests.unit.house.tree import ROOT, SERVICES

FILE = ROOT / "deploy" / "compose.yaml"
CHECK = Path(sysconfig.get_path("scripts")) / "check-jsonschema"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
OURS = {name: service for name, service in COMPOSE["services"].items() if "build" in service}
ADDRESS = re.compile(r"(?:^|[@/])([a-z-]+):(\d+)")


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What `deploy/compose/environment.py` writes into .env."""
    directory = tmp_path_factory.mktemp("compose")
    program = ROOT / "deploy" / "compose" / "environment.py"
    for _ in range(2):
        subprocess.run([sys.executable, program, directory], check=True, capture_output=True)
    assert (directory / ".env").stat().st_mode & 0o777 == 0o600
    assert (directory / ".secrets").stat().st_mode & 0o777 == 0o700
    lines = (directory / ".env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines) | {"PEM": str(directory / ".secrets" / "close-signing-key.pem")}


def with_mtls(name: str) -> dict[str, Any]:
    """A program with compose.mtls.yaml laid over."""
    over = yaml.safe_load((ROOT / "deploy" / "compose.mtls.yaml").read_text(encoding="utf-8"))["services"]
    service = OURS[name] | over.get(name, {})
    return service | {"environment": OURS[name]["environment"] | over.get(name, {}).get("environment", {})}


def filled_in(value: str, secrets: dict[str, str]) -> str:
    """The value with `${NAME}` replaced as compose does."""
    return re.sub(r"\$\{([A-Z_]+)[^}]*\}", lambda found: secrets[found[1]], value)


def command_of(service: dict[str, Any]) -> tuple[str, ...]:
    return (*service.get("entrypoint", ()), *service.get("command", ()))


def test_it_is_what_compose_reads() -> None:
    command = [CHECK, "--builtin-schema", "vendor.compose-spec", FILE, FILE.with_name("compose.mtls.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_mutual_tls_is_laid_over_everything_that_calls_or_is_called() -> None:
    ours = {name: service for name, service in OURS.items() if "POOLS_TLS_KEY_FILE" in service["environment"]}
    assert set(ours) == {*SERVICES, "sandbox", "sandbox-sources"}
    for name in ours:
        service = with_mtls(name)
        [volume] = service["volumes"]
        source, target, access = volume.split(":")
        identity = "operator" if name == "sandbox-sources" else name
        assert (source, access) == (f".secrets/tls/{identity}", "ro")
        assert identity in CALLERS
        told = {key: value for key, value in service["environment"].items() if key.startswith("POOLS_TLS_")}
        files = {"CERTIFICATE": CERTIFICATE, "KEY": KEY, "CA": CA}
        assert told == {f"POOLS_TLS_{kind}_FILE": f"{target}/{file}" for kind, file in files.items()}


@pytest.mark.parametrize("name", OURS)
def test_a_program_is_told_all_that_it_reads_and_nothing_else(
    name: str, secrets: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    service = OURS[name]
    command = command_of(service)
    if command == ("python", "-m", "poolctl.stack.prepare_databases"):
        settings: Any = DatabasesSettings
    else:
        settings = settings_for(name, command)
    told = {variable: filled_in(value, secrets) for variable, value in service["environment"].items()}
    assert disagreements(settings, set(told), f"compose.yaml: {name}") == []
    read = accepted(settings, told, monkeypatch)
    assert getattr(read, "mode", "test") == "test"
    if isinstance(read, ServiceSettings):
        assert read.crashpoint == ""
    if isinstance(read, GatewaySettings):
        assert is_unhindered(read)


def test_the_signing_key_that_is_made_is_one(secrets: dict[str, str]) -> None:
    from ledger.outbound.signing_key import load_signing_key

    assert load_signing_key(Path(secrets["PEM"])).public_key
    mounted = OURS["ledger"]["environment"]["POOLS_CLOSE_SIGNING_KEY_FILE"]
    assert mounted == f"/run/secrets/{OURS['ledger']['secrets'][0]}"
    assert COMPOSE["secrets"]["close-signing-key.pem"]["file"] == ".secrets/close-signing-key.pem"


@pytest.mark.parametrize("name", OURS)
def test_every_address_is_that_of_a_program_which_listens_there(name: str) -> None:
    known = {"postgres": {"5432"}, "kafka": {"9092"}, "traces": {"4317"}, "127.0.0.1": {"8080"}}
    for other, service in OURS.items():
        listens = [value for key, value in service["environment"].items() if key.endswith("_LISTEN")]
        known.setdefault(other, set()).update(listen.rpartition(":")[2] for listen in listens)
    for variable, value in OURS[name]["environment"].items():
        for host, port in ADDRESS.findall(value) if not variable.endswith("_LISTEN") else ():
            assert port in known.get(host, set()), f"{variable}={value}"


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_serves_as_its_runtime_role_and_migrates_before_as_its_migrator(service: str) -> None:
    package = SERVICES[service]
    assert package in DATABASES
    database = OURS[service]["environment"]["POOLS_DATABASE_URL"]
    assert f"//{runtime_role(package)}:" in database
    assert database.endswith(f"/{package}")
    migrator = OURS[f"{service}-migrate"]["environment"]["POOLS_MIGRATOR_DATABASE_URL"]
    assert f"//{migrator_role(package)}:" in migrator
    done = {"condition": "service_completed_successfully"}
    assert OURS[service]["depends_on"] == {f"{service}-migrate": done, "topics": done}
    assert OURS[f"{service}-migrate"]["depends_on"] == {"databases": done}


@pytest.mark.parametrize("name", OURS)
def test_a_program_is_built_from_a_dockerfile_and_can_do_only_what_it_needs(name: str) -> None:
    service = OURS[name]
    path = Path(service["build"]["dockerfile"])
    assert path in DOCKERFILES.values()
    assert set(service["build"]["args"]) == set(Dockerfile.read(path).arguments)
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]


def test_only_this_machine_reaches_what_is_published() -> None:
    published = {port for service in COMPOSE["services"].values() for port in service.get("ports", ())}
    assert {port for port in published if not port.startswith("127.0.0.1:")} == set()
    hosts = [port.rsplit(":", 1)[0] for port in published]
    assert len(hosts) == len(set(hosts))


def test_prometheus_reads_every_service() -> None:
    config = yaml.safe_load((ROOT / "deploy" / "compose" / "prometheus.yaml").read_text(encoding="utf-8"))
    jobs = {job["job_name"]: job["dns_sd_configs"][0]["port"] for job in config["scrape_configs"]}
    assert set(jobs) == set(SERVICES)
    for service, port in jobs.items():
        assert OURS[service]["environment"]["POOLS_METRICS_LISTEN"].endswith(f":{port}")


def test_whatever_a_laptop_needs_is_there() -> None:
    others = {"postgres", "kafka", "sandbox", "traces", "prometheus", "grafana"}
    assert {*SERVICES, *others} <= set(COMPOSE["services"])


def mounts(name: str) -> dict[str, Path]:
    """The files of this tree that a container sees, by where it sees them."""
    pairs = [volume.split(":")[:2] for volume in COMPOSE["services"][name]["volumes"]]
    return {target: FILE.parent / source for source, target in pairs if source not in COMPOSE["volumes"]}


def test_prometheus_can_read_its_configuration_and_finds_its_rules(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed here; Debian's package `prometheus` has it")
    for target, source in mounts("prometheus").items():
        place = tmp_path / target.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(source)
    command = [promtool, "check", "config", tmp_path / "etc" / "prometheus" / "prometheus.yml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("rules found") == 2


def test_grafana_finds_the_dashboards_and_what_they_ask() -> None:
    seen = mounts("grafana")
    provisioning = "/etc/grafana/provisioning"
    [provider] = yaml.safe_load((seen[f"{provisioning}/dashboards"] / "pools.yaml").read_text())["providers"]
    assert sorted(file.stem for file in seen[provider["options"]["path"]].glob("*.json")) == [
        "flow",
        "money",
        "partner-api",
    ]
    sources = yaml.safe_load((seen[f"{provisioning}/datasources"] / "prometheus.yaml").read_text())["datasources"]
    assert [source["url"] for source in sources] == ["http://prometheus:9090", "http://traces:16686"]
    assert {source["url"].split("//")[1].split(":")[0] for source in sources} <= COMPOSE["services"].keys()


def test_what_is_mounted_is_there() -> None:
    for service in COMPOSE["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert source in COMPOSE["volumes"] or (FILE.parent / source).exists(), volume
