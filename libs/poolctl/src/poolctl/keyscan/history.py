"""Owns what git remembers of a folder: every object it keeps, read by git itself, also what no branch leads to."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from poolctl.keyscan.archives import CHUNK_BYTES, UNREADABLE

_ERROR_BYTES_MAX = 1_000


def git_directory(folder: Path) -> Path | None:
    """Where the folder's history lies: in `.git`, where `.git` points to, or in the folder itself when it is bare."""
    own = folder / ".git"
    for candidate in (_pointed_at(own) if own.is_file() else own, folder):
        if (candidate / "HEAD").is_file() and (candidate / "objects").is_dir():
            return candidate.resolve()
    return None


def _pointed_at(file: Path) -> Path:
    """What the `.git` file of a worktree or submodule stands for: a worktree shares its repository's objects."""
    text = file.read_text(errors="replace")[:4096]
    own = file.parent / text.removeprefix("gitdir:").strip()
    common = own / "commondir"
    return own / common.read_text(errors="replace").strip() if common.is_file() else own


def history_of(place: Path, repository: Path, unread: list[str]) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Every object but trees, as `place@object`: a key that was ever committed has leaked, whatever came after."""
    # Neither another object in a replaced one's stead, nor a missing one fetched from elsewhere.
    command = ["git", "--git-dir", str(repository), "--no-replace-objects", "cat-file", "--batch-all-objects",
               "--batch", "--unordered"]  # fmt: skip
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment["GIT_NO_LAZY_FETCH"] = "1"
    try:
        with (
            TemporaryFile() as said,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, env=environment) as git,
        ):
            assert git.stdout is not None
            try:
                yield from _objects(place, git.stdout, unread)
            except UNREADABLE as error:
                unread.append(f"{place}: its history cannot be read to the end ({error})")
                git.kill()
            if git.wait() > 0:
                said.seek(0)
                unread.append(f"{place}: git says {said.read(_ERROR_BYTES_MAX).decode(errors='replace').strip()}")
    except FileNotFoundError:
        unread.append(f"{place}: its history can only be read with git, which is not installed")


def _objects(place: Path, stream: IO[bytes], unread: list[str]) -> Iterator[tuple[str, Iterator[bytes]]]:
    while header := stream.readline():
        fields = header.decode(errors="replace").split()
        if len(fields) != 3:
            raise ValueError(f"git says {' '.join(fields)}")
        name, kind, size = fields
        content = _content(f"{place}@{name[:12]}", stream, int(size), unread)
        if kind != "tree":
            yield f"{place}@{name[:12]}", content
        # Whatever its reader left, and all of a tree, which holds names and hashes only.
        for _ in content:
            pass
        stream.read(1)


def _content(place: str, stream: IO[bytes], remaining: int, unread: list[str]) -> Iterator[bytes]:
    while remaining:
        chunk = stream.read(min(CHUNK_BYTES, remaining))
        if not chunk:
            # Said rather than raised: it is whoever searches the content that would be stopped.
            unread.append(f"{place}: git stopped in the middle of it")
            return
        remaining -= len(chunk)
        yield chunk
