"""The requirement files: pinned, hashed, the same everywhere, and silent about where packages come from."""

import re
from pathlib import Path

import pytest

from tests.unit.house.tree import ROOT, SERVICES

DEV = Path("deploy/requirements/dev.txt")
BUILD = Path("deploy/requirements/build.txt")
SANDBOX = Path("libs/poolctl/requirements.txt")
FILES = [DEV, BUILD, SANDBOX, *(Path("services") / name / "requirements.txt" for name in SERVICES)]
PIN = re.compile(r"^([a-z0-9-]+)(?:\[[a-z,]+\])?==([^ ;]+)(?: ;[^\\]*)? \\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$")


def statements(path: Path) -> list[str]:
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


def pins(path: Path) -> dict[str, str]:
    return {found[1]: found[2] for line in statements(path) if (found := PIN.match(line))}


@pytest.mark.parametrize("path", FILES, ids=str)
def test_requirements_are_pins_with_hashes_and_name_no_index(path: Path) -> None:
    assert pins(path)
    assert [line for line in statements(path) if not PIN.match(line) and not HASH.match(line)] == []


@pytest.mark.parametrize("path", FILES, ids=str)
def test_requirements_name_no_host_and_no_folder_of_a_machine(path: Path) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    assert re.findall(r"https?:|file:|--index|--find-links|--trusted-host|/home/|/tmp/", text) == []


@pytest.mark.parametrize("path", FILES[1:], ids=str)
def test_a_service_runs_the_versions_it_was_tested_with(path: Path) -> None:
    tested = pins(DEV)
    assert {name: version for name, version in pins(path).items() if tested.get(name) != version} == {}


def test_the_grpc_family_is_of_one_version() -> None:
    assert {version for name, version in pins(DEV).items() if name.startswith("grpcio")} == {"1.83.2"}
