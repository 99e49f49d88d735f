"""Holds protos/ to buf's lint rules, and to what the last differing commit on main already promised. Works offline.

python libs/contracts/check.py lint
python libs/contracts/check.py breaking
"""

import io
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parents[2]
SITE_PACKAGES = sysconfig.get_path("purelib")
WELL_KNOWN = str(Path(protoc.__file__).parent / "_proto")
BUF = str(Path(sysconfig.get_path("scripts")) / "buf")


def build_image(protos: Path, image: Path) -> None:
    """Writes the descriptors of every proto below `protos`, with comments and imports, as buf reads them."""
    sources = sorted(str(path.relative_to(protos)) for path in protos.rglob("*.proto"))
    options = ["--include_imports", "--include_source_info", f"--descriptor_set_out={image}"]
    includes = [f"--proto_path={path}" for path in (protos, WELL_KNOWN, SITE_PACKAGES)]
    if protoc.main(["protoc", *includes, *options, *sources]) != 0:
        sys.exit(f"protoc refuses the protos in {protos.name}; the lines above say why.")


def git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Git's answer, whatever it is."""
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False)


def last_differing_commit() -> str | None:
    """The newest commit on main whose protos are not those of the working tree; None where there is none."""
    names = ("main", "origin/main", "HEAD")
    main = next((name for name in names if git("rev-parse", "--verify", "--quiet", name).returncode == 0), None)
    if main is None:
        return None
    for commit in git("log", "--format=%H", main, "--", "protos").stdout.decode().split():
        has_protos = git("ls-tree", commit, "protos").stdout
        if has_protos and git("diff", "--quiet", commit, "--", "protos").returncode == 1:
            return commit
    return None


def check_lint(scratch: Path) -> int:
    """Buf's lint over the working tree."""
    build_image(ROOT / "protos", scratch / "now.binpb")
    return run_buf("lint", str(scratch / "now.binpb"))


def check_breaking(scratch: Path) -> int:
    """Buf's breaking rules between the last differing commit on main and the working tree."""
    commit = last_differing_commit()
    if commit is None:
        print("skipped: no commit on main has other protos than the working tree")
        return 0
    with tarfile.open(fileobj=io.BytesIO(git("archive", commit, "protos").stdout)) as archive:
        archive.extractall(scratch / "then", filter="data")
    build_image(ROOT / "protos", scratch / "now.binpb")
    build_image(scratch / "then" / "protos", scratch / "then.binpb")
    print(f"compared with {commit[:10]}")
    return run_buf("breaking", str(scratch / "now.binpb"), "--against", str(scratch / "then.binpb"))


def run_buf(*arguments: str) -> int:
    """Buf's exit code, looking at our own files only: what they import comes from elsewhere."""
    command = [BUF, *arguments, "--config", "buf.yaml", "--path", "pools"]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    checks = {"lint": check_lint, "breaking": check_breaking}
    with tempfile.TemporaryDirectory() as directory:
        sys.exit(checks[sys.argv[1]](Path(directory)))
