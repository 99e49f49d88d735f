"""Marks each test by the folder it lives in, and lets folders run beside each other, each in one process."""

from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

TESTS = Path(__file__).parent
FOLDERS = ("unit", "contract", "e2e", "chaos", "integration")
"""The quickest first, then those that take longest as one, so that no process ends long after the others."""

# Two shared cores stall now and then; how long an example takes says nothing about what it protects.
settings.register_profile("0pools", deadline=None, print_blob=True)
settings.load_profile("0pools")


def pytest_addoption(parser: pytest.Parser) -> None:
    """One switch of our own."""
    parser.addoption("--mtls", action="store_true", help="run every stack with mutual TLS between its programs")


@pytest.fixture(scope="session")
def mtls(pytestconfig: pytest.Config) -> bool:
    """Whether stacks run with mutual TLS."""
    return bool(pytestconfig.getoption("--mtls"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Logs plainly: left alone, structlog draws every local of a traceback, and a service among them takes minutes."""
    # What a command that was run in this process has set must not outlive its test.
    structlog.reset_defaults()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        ]
    )


def folder_of(item: pytest.Item) -> str:
    """The first folder below tests/."""
    return item.path.relative_to(TESTS).parts[0]


class FolderScheduling(LoadScopeScheduling):
    """Tests that share a database, a broker or a stack stay in one process: a folder, of integration tests one part."""

    def _split_scope(self, nodeid: str) -> str:
        parts = Path(nodeid.partition("::")[0]).parts[1:]
        return "/".join(parts[:2]) if parts[0] == "integration" else parts[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FolderScheduling:
    """How the tests are shared out whenever there are several processes."""
    return FolderScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks and sorts; within a folder the order stays pytest's."""
    for item in items:
        item.add_marker(folder_of(item))
    items.sort(key=lambda item: FOLDERS.index(folder_of(item)))
