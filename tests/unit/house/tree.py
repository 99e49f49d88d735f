"""What the repository holds, as git sees it: tracked files, and new ones that are not ignored."""

import ast
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
SERVICES = {
    "gateway": "gateway",
    "quote": "quote",
    "trade": "trade",
    "webhook-ingest": "webhook_ingest",
    "ledger": "ledger",
}
LIBS = ("contracts", "poolkit", "poolctl")
DISTRIBUTIONS = (*(f"libs/{name}" for name in LIBS), *(f"services/{name}" for name in SERVICES))


@cache
def files() -> tuple[Path, ...]:
    """Every file that is or would be part of the repository, relative to its top."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return tuple(sorted({Path(name) for name in listed.split("\0") if name and (ROOT / name).is_file()}))


def python_files() -> Iterator[Path]:
    """Every module written by people."""
    return (path for path in files() if path.suffix == ".py")


def pyproject(distribution: str) -> dict[str, Any]:
    """The parsed pyproject.toml of `libs/…` or `services/…`."""
    return tomllib.loads((ROOT / distribution / "pyproject.toml").read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Each module a file imports, and the name taken from it (empty for a plain import)."""
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((node.module, alias.name) for alias in node.names)
