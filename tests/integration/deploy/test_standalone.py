"""Each service stands alone: its image's steps, its own pinned packages, environment variables, and it serves."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from poolctl.stack.kafka import Kafka
from poolctl.stack.ports import free_port
from poolctl.stack.secrets import ensure_signing_key
from tests.integration.databases import RunningPostgres
from tests.integration.deploy.image import Image
from tests.integration.deploy.told import settings_of
from tests.unit.house.tree import SERVICES
from tests.waiting import eventually

SERVE_SECONDS = 120.0


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all images, so that the tools that build them are installed once."""
    return tmp_path_factory.mktemp("images")


def bare(**told: str) -> dict[str, str]:
    """An environment with nothing in it but what the image's own gives, and what it is told."""
    return {"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1", **told}


def settings(service: str, url: str, kafka: str, folder: Path) -> dict[str, str]:
    """All that a service has to be told; colleagues' addresses lead nowhere, as nobody else runs."""
    told = {"POOLS_MODE": "test", "POOLS_DATABASE_URL": url, "POOLS_KAFKA_BOOTSTRAP": kafka}
    for name, field in settings_of(service).model_fields.items():
        variable = f"POOLS_{name.upper()}"
        if name.endswith("_listen"):
            told[variable] = f"127.0.0.1:{free_port()}"
        elif name.endswith("_address"):
            told[variable] = "127.0.0.1:1"
        elif field.is_required() and variable not in told:
            told[variable] = Fernet.generate_key().decode()
    if service == "ledger":
        key = folder / "signing.pem"
        ensure_signing_key(key)
        told["POOLS_CLOSE_SIGNING_KEY_FILE"] = str(key)
    return told


def run(command: list[str], **told: str) -> str:
    """Runs it to its good end, away from the tree, and answers what it printed."""
    done = subprocess.run(command, env=bare(**told), capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout.strip()


class Running:
    """The image's own command."""

    def __init__(self, image: Image, told: dict[str, str], log: Path) -> None:
        self._image, self._told, self._log = image, told, log
        with log.open("wb") as output:
            self.process = subprocess.Popen(image.entry(), env=bare(**told), stdout=output, stderr=output, cwd="/")

    def serves(self) -> bool:
        """What HEALTHCHECK finds."""
        assert self.process.poll() is None, self.log
        command = self._image.health_command()
        return subprocess.run(command, env=bare(**self._told), capture_output=True, check=False).returncode == 0

    def end(self) -> int:
        """The exit status after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    @property
    def log(self) -> str:
        return self._log.read_text()


@pytest.mark.long
@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_installed_alone_migrates_serves_and_ends_by_environment_alone(
    service: str, postgres: RunningPostgres, kafka: Kafka, scratch: Path, tmp_path: Path
) -> None:
    image = Image(service, scratch)
    image.build()
    python = str(image.bin / "python")

    others = [*(name for name in SERVICES.values() if name != SERVICES[service]), "poolctl", "pytest"]
    look = f"import importlib.util; print([name for name in {others} if importlib.util.find_spec(name)])"
    assert run([python, "-c", look]) == "[]"

    broker = {"POOLS_MODE": "test", "POOLS_KAFKA_BOOTSTRAP": kafka.bootstrap}
    run([python, "-m", "poolkit.topics"], **broker, POOLS_TOPIC_REPLICAS="1")
    url = await postgres.empty_database(SERVICES[service])
    run(image.entry("migrate"), POOLS_MIGRATOR_DATABASE_URL=postgres.migrator_url(url))

    told = settings(service, url, kafka.bootstrap, tmp_path)
    running = Running(image, told, tmp_path / "log")
    try:
        await eventually(running.serves, f"{service} serves", seconds=SERVE_SECONDS, every_seconds=0.2)
        assert running.end() == 0, running.log
    finally:
        running.process.kill()
        running.process.wait()
    secrets = [value for name, value in told.items() if re.search("KEY$|PEPPER$", name)]
    assert [secret for secret in secrets if secret in running.log] == []
