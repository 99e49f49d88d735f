"""The domains: rules that import the standard library's pure parts, money, ids, page tokens, errors, nothing else."""

import sys

import pytest

from tests.unit.house.tree import SERVICES, imports, python_files

POOLKIT = ("poolkit.money", "poolkit.ids", "poolkit.page_tokens", "poolkit.errors")
# Parts of the standard library that reach out of the process or read its clock, its chance or its surroundings.
IMPURE = {
    "asyncio", "ctypes", "http", "io", "logging", "multiprocessing", "os", "pathlib", "random", "secrets", "select",
    "shutil", "signal", "smtplib", "socket", "sqlite3", "ssl", "subprocess", "tempfile", "threading", "time", "urllib",
}  # fmt: skip


@pytest.mark.parametrize("service", SERVICES)
def test_a_domain_imports_nothing_that_could_change_its_answer(service: str) -> None:
    package = SERVICES[service]
    strangers = []
    for path in python_files():
        if not path.is_relative_to(f"services/{service}/src/{package}/domain"):
            continue
        for module, name in imports(path):
            full = f"{module}.{name}" if module == "poolkit" else module
            top = module.partition(".")[0]
            pure = top in sys.stdlib_module_names and top not in IMPURE
            kit = any(full == allowed or full.startswith(f"{allowed}.") for allowed in POOLKIT)
            own = module == f"{package}.domain" or full.startswith(f"{package}.domain.")
            if not (pure or kit or own or (module == package and name == "domain")):
                strangers.append(f"{path}: {module}")
    assert strangers == []
