"""Turns protos/ into the stubs of libs/contracts/src/pools: messages, gRPC, and the types of both.

The output is git-ignored. Only files whose text changed are rewritten and stale ones are removed, so that type
checkers and running processes see a change where there is one and nothing else.
"""

import fcntl
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parents[2]
PROTOS = ROOT / "protos"
STUBS = ROOT / "libs" / "contracts" / "src" / "pools"
INCLUDES = [str(Path(grpc_tools.__file__).parent / "_proto"), sysconfig.get_path("purelib")]


def compile_protos(out: Path) -> None:
    """Runs protoc with the plugins beside this interpreter; its complaints go to the terminal and end the run."""
    sources = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))
    scripts = Path(sysconfig.get_path("scripts"))
    arguments = [
        "protoc",
        f"--proto_path={PROTOS}",
        *(f"--proto_path={include}" for include in INCLUDES),
        *(f"--plugin={name}={scripts / name}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")),
        *(f"--{plugin}_out={out}" for plugin in ("python", "grpc_python")),
        *(f"--{plugin}_out=quiet:{out}" for plugin in ("mypy", "mypy_grpc")),
        *sources,
    ]
    if protoc.main(arguments) != 0:
        sys.exit("protos: the stubs were not generated; the lines above say why.")


def complete_packages(package: Path) -> None:
    """Every folder becomes a package that says where it came from, and the whole one that carries types."""
    for folder in (package, *(path for path in package.rglob("*") if path.is_dir())):
        name = ".".join(folder.relative_to(package.parent).parts)
        sentence = f'"""The contracts of {name}, generated from protos/."""\n'
        (folder / "__init__.py").write_text(sentence, encoding="utf-8")
    (package / "py.typed").touch()


def publish(fresh: Path, stubs: Path) -> int:
    """Makes `stubs` equal to `fresh`, touching only what differs; answers how many files changed."""
    changed = 0
    wanted = {path.relative_to(fresh) for path in fresh.rglob("*") if path.is_file()}
    for name in sorted(wanted):
        source, target = fresh / name, stubs / name
        if not target.exists() or target.read_bytes() != source.read_bytes():
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.with_name(f".{target.name}.new")
            shutil.copyfile(source, temporary)
            temporary.replace(target)
            changed += 1
    for path in sorted(stubs.rglob("*"), reverse=True):
        if path.is_file() and path.relative_to(stubs) not in wanted and "__pycache__" not in path.parts:
            path.unlink()
            changed += 1
        elif path.is_dir() and path.name != "__pycache__" and not (fresh / path.relative_to(stubs)).exists():
            shutil.rmtree(path)
    return changed


def main() -> None:
    """Generates beside, then publishes, one run at a time."""
    lock = ROOT / "build" / "protos.lock"
    lock.parent.mkdir(exist_ok=True)
    with lock.open("w") as held, tempfile.TemporaryDirectory() as scratch:
        fcntl.flock(held, fcntl.LOCK_EX)
        compile_protos(Path(scratch))
        fresh = Path(scratch) / "pools"
        complete_packages(fresh)
        print(f"protos: {publish(fresh, STUBS)} of the stubs changed", flush=True)


if __name__ == "__main__":
    main()
