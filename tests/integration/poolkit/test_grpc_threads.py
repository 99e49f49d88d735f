"""gRPC reads its environment when it is first imported: poolkit must have had its say by then, and no more."""

import os
import subprocess
import sys

import pytest

PROGRAM = "import {module}, os, sys; print(os.environ['GRPC_EXPERIMENTS'], 'grpc' in sys.modules)"


def experiments_after_importing(module: str, **environment: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if name != "GRPC_EXPERIMENTS"}
    run = [sys.executable, "-c", PROGRAM.format(module=module)]
    return subprocess.run(run, env=inherited | environment, capture_output=True, text=True, check=True).stdout.strip()


def test_poolkit_sets_it_before_it_imports_grpc() -> None:
    assert experiments_after_importing("poolkit") == "-event_engine_client,-event_engine_listener False"


def test_what_the_environment_says_stays() -> None:
    assert experiments_after_importing("poolkit", GRPC_EXPERIMENTS="none") == "none False"


@pytest.mark.parametrize("service", ["gateway", "quote", "trade", "webhook_ingest", "ledger"])
def test_each_service_imports_poolkit_before_grpc(service: str) -> None:
    order = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", f"import {service}.main"],
        env=os.environ,
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    names = [line.rpartition("|")[2].strip() for line in order.splitlines()]
    assert names.index("poolkit") < names.index("grpc")
