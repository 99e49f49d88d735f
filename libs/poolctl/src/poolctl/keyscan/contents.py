"""Owns what there is to search: files below folders, members of archives, what is compressed, what git remembers."""

import bz2
import gzip
import lzma
import os
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, Any

CHUNK_BYTES = 1 << 20
# An archive in an archive in an archive: a leak may well lie there, a bomb rather.
DEPTH_MAX = 5
MEMBER_BYTES_MAX = 1 << 30
_SPOOL_BYTES = 1 << 24

_HEADS: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
)
_OPENERS: dict[str, Callable[[Any], Any]] = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}
UNREADABLE = (OSError, EOFError, RuntimeError, NotImplementedError, zlib.error, lzma.LZMAError, zipfile.BadZipFile,
              tarfile.TarError, ValueError)  # fmt: skip


@dataclass(slots=True)
class Contents:
    """Walks what a path holds; what could not be read is kept in `unread`, so that nobody takes it for searched."""

    unread: list[str] = field(default_factory=list)

    def of(self, path: Path) -> Iterator[tuple[str, Iterator[bytes]]]:
        """Each content with the place it lies at: a path, `archive!member`, or `repository@object`."""
        if path.is_symlink() and not path.exists():
            return
        if path.is_dir():
            yield from self._folder(path)
        elif path.is_file():
            yield from self._file(path)
        else:
            self.unread.append(f"{path}: there is no such file or folder")

    def _folder(self, folder: Path) -> Iterator[tuple[str, Iterator[bytes]]]:
        repository = _git_directory(folder)
        if repository is not None:
            yield from self._history(folder, repository)

        def refused(error: OSError) -> None:
            self.unread.append(f"{error.filename}: {error.strerror}")

        for current, folders, names in os.walk(folder, onerror=refused):
            folders.sort()
            for name in sorted(names):
                file = Path(current, name)
                # What a link points at is searched where it lies; pipes and sockets hold nothing.
                if file.is_symlink() or not file.is_file():
                    continue
                yield from self._file(file)
            for name in folders:
                inner = Path(current, name)
                if inner != folder and name == ".git" and inner != repository:
                    yield from self._history(inner, inner)

    def _file(self, path: Path) -> Iterator[tuple[str, Iterator[bytes]]]:
        try:
            with path.open("rb") as file:
                yield from self._opened(str(path), file, depth=0)
        except OSError as error:
            self.unread.append(f"{path}: {error.strerror or error}")

    def _opened(self, place: str, file: IO[bytes], *, depth: int) -> Iterator[tuple[str, Iterator[bytes]]]:
        """The file as it lies there, then what is packed into it."""
        yield place, self._guarded(place, _chunks(file))
        kind = _kind(file)
        if kind is None:
            return
        if depth >= DEPTH_MAX:
            self.unread.append(f"{place}: packed more than {DEPTH_MAX} deep")
            return
        try:
            for name, opened in _members(kind, file):
                with opened as member:
                    spooled = _spooled(member)
                with spooled as held:
                    yield from self._opened(f"{place}!{name}", held, depth=depth + 1)
        except UNREADABLE as error:
            self.unread.append(f"{place}: {kind} that cannot be unpacked ({error})")

    def _history(self, place: Path, repository: Path) -> Iterator[tuple[str, Iterator[bytes]]]:
        """Every object git keeps, also of branches that are gone: a key that was ever committed has leaked."""
        command = ["git", "--git-dir", str(repository), "cat-file", "--batch-all-objects", "--batch", "--unordered"]
        try:
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as git:
                assert git.stdout is not None
                assert git.stderr is not None
                yield from _objects(place, git.stdout)
                if git.wait() != 0:
                    self.unread.append(f"{place}: git says {git.stderr.read().decode(errors='replace').strip()}")
        except FileNotFoundError:
            self.unread.append(f"{place}: its history can only be read with git, which is not installed")

    def _guarded(self, place: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from chunks
        except UNREADABLE as error:
            self.unread.append(f"{place}: {error}")


def _git_directory(folder: Path) -> Path | None:
    """Where the folder's history lies: in `.git`, or in the folder itself when it is bare or a `.git`."""
    for candidate in (folder / ".git", folder):
        if (candidate / "HEAD").is_file() and (candidate / "objects").is_dir():
            return candidate
    return None


def _objects(place: Path, stream: IO[bytes]) -> Iterator[tuple[str, Iterator[bytes]]]:
    while header := stream.readline():
        name, kind, size = header.decode().split()
        remaining = int(size)

        def chunks(remaining: int = remaining) -> Iterator[bytes]:
            while remaining:
                chunk = stream.read(min(CHUNK_BYTES, remaining))
                if not chunk:
                    raise EOFError("git stopped in the middle of an object")
                remaining -= len(chunk)
                yield chunk

        content = chunks()
        if kind == "tree":
            # Names and hashes only.
            _exhaust(content)
        else:
            yield f"{place}@{name[:12]}", content
            _exhaust(content)
        stream.read(1)


def _exhaust(chunks: Iterator[bytes]) -> None:
    for _ in chunks:
        pass


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


def _kind(file: IO[bytes]) -> str | None:
    file.seek(0)
    head = file.read(512)
    file.seek(0)
    for magic, kind in _HEADS:
        if head.startswith(magic):
            return kind
    return "tar" if head[257:262] == b"ustar" else None


def _members(kind: str, file: IO[bytes]) -> Iterator[tuple[str, AbstractContextManager[IO[bytes]]]]:
    """What is packed, each to be opened and read before the next is asked for."""
    if kind == "zip":
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                if not member.is_dir():
                    yield member.filename, archive.open(member)
    elif kind == "tar":
        with tarfile.open(fileobj=file, mode="r:") as tape:
            for entry in tape:
                content = tape.extractfile(entry) if entry.isfile() else None
                if content is not None:
                    yield entry.name, content
    else:
        yield "unpacked", _OPENERS[kind](file)


def _spooled(member: IO[bytes]) -> "SpooledTemporaryFile[bytes]":
    """A copy one can seek in: in memory while it is small."""
    held: SpooledTemporaryFile[bytes] = SpooledTemporaryFile(max_size=_SPOOL_BYTES)  # noqa: SIM115 - the caller closes
    try:
        for chunk in _chunks(member):
            if held.tell() + len(chunk) > MEMBER_BYTES_MAX:
                raise ValueError(f"it unpacks to more than {MEMBER_BYTES_MAX >> 30} GiB")
            held.write(chunk)
        held.seek(0)
    except BaseException:
        held.close()
        raise
    return held
