"""The contracts as a wheel: what another team installs must hold every stub, with its types."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SUFFIXES = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi")


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The files inside a freshly built wheel."""
    directory = tmp_path_factory.mktemp("wheel")
    build = "import hatchling.build, sys; print(hatchling.build.build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, str(directory)],
        cwd=ROOT / "libs" / "contracts", capture_output=True, text=True, check=True,
    )  # fmt: skip
    with zipfile.ZipFile(directory / done.stdout.split()[-1]) as wheel:
        return set(wheel.namelist())


def test_every_proto_is_in_the_wheel_with_its_types(names: set[str]) -> None:
    protos = [path.relative_to(ROOT / "protos").with_suffix("") for path in (ROOT / "protos").rglob("*.proto")]
    assert protos
    assert {f"{proto}{suffix}" for proto in protos for suffix in SUFFIXES} - names == set()


def test_the_wheel_is_typed_and_brings_only_the_contracts(names: set[str]) -> None:
    assert {"pools/py.typed", "pools_contracts/py.typed"} <= names
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"pools", "pools_contracts"}
