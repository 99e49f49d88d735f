"""The layout: what may lie at the top, how long a file may be, what each module says first."""

import ast

import pytest

from tests.unit.house.tree import LIBS, ROOT, SERVICES, files, python_files

TOP_LEVEL = {
    "protos", "services", "libs", "deploy", "tests", "docs", "buf.yaml", "Makefile", "pyproject.toml", "README.md",
}  # fmt: skip
LINES_MAX = 300
ROOMS = ("domain", "store", "app", "api", "outbound")
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "manager", "managers", "misc"}


def test_the_top_level_holds_the_house_and_nothing_else() -> None:
    strangers = {path.parts[0] for path in files()} - TOP_LEVEL
    assert {name for name in strangers if not name.startswith(".")} == set()


def test_the_libs_and_services_are_the_eight_we_know() -> None:
    found = {path.parts[:2] for path in files() if path.parts[0] in ("libs", "services") and len(path.parts) > 2}
    assert found == {("libs", name) for name in LIBS} | {("services", name) for name in SERVICES}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_the_same_rooms_as_the_others(service: str) -> None:
    package = ROOT / "services" / service / "src" / SERVICES[service]
    assert [room for room in ROOMS if not (package / room / "__init__.py").exists()] == []


def test_no_python_file_is_longer_than_a_reader_can_hold() -> None:
    lengths = {str(path): (ROOT / path).read_text(encoding="utf-8").count("\n") for path in python_files()}
    assert {path: lines for path, lines in lengths.items() if lines > LINES_MAX} == {}


def test_every_module_opens_by_saying_what_it_owns() -> None:
    silent = [
        str(path) for path in python_files() if not ast.get_docstring(ast.parse((ROOT / path).read_text("utf-8")))
    ]
    assert silent == []


def test_no_folder_or_module_has_a_name_that_says_nothing() -> None:
    assert [str(path) for path in files() if NAMES_THAT_SAY_NOTHING & {*path.parts[:-1], path.stem}] == []


def test_every_package_that_others_import_carries_its_types() -> None:
    packages = [ROOT / "libs" / "poolkit/src/poolkit", ROOT / "libs" / "contracts/src/pools_contracts"]
    assert [str(package) for package in packages if not (package / "py.typed").exists()] == []
