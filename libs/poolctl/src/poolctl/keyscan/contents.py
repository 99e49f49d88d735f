"""Owns what there is to search: files below folders, what is packed into them, and what git remembers of a folder."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from poolctl.keyscan.archives import (
    LIMITS,
    READABLE,
    UNREADABLE,
    Budget,
    Limits,
    UnpacksToTooMuch,
    chunks_of,
    kind_of,
    members_of,
    spooled,
)
from poolctl.keyscan.history import git_directory, history_of

Content = tuple[str, Iterator[bytes]]


@dataclass(slots=True)
class Contents:
    """Walks what a path holds; what could not be read is kept in `unread`, so that nobody takes it for searched."""

    unread: list[str] = field(default_factory=list)
    limits: Limits = LIMITS
    _histories: set[Path] = field(default_factory=set)

    def of(self, path: Path) -> Iterator[Content]:
        """Each content with the place it lies at: a path, `archive!member`, or `repository@object`."""
        if path.is_dir():
            yield from self._folder(path)
        elif path.is_file():
            yield from self._file(path)
        else:
            self.unread.append(f"{path}: there is no such file or folder")

    def _folder(self, folder: Path) -> Iterator[Content]:
        def refused(error: OSError) -> None:
            self.unread.append(f"{error.filename}: {error.strerror}")

        for current, folders, names in os.walk(folder, onerror=refused):
            folders.sort()
            inner = Path(current)
            repository = git_directory(inner)
            if repository is not None and repository not in self._histories:
                self._histories.add(repository)
                yield from history_of(inner, repository, self.unread)
            for name in sorted(names):
                file = Path(current, name)
                # What a link points at is searched where it lies; pipes and sockets hold nothing.
                if not file.is_symlink() and file.is_file():
                    yield from self._file(file)

    def _file(self, path: Path) -> Iterator[Content]:
        try:
            with path.open("rb") as file:
                yield from self._opened(str(path), file, Budget(self.limits), depth=0)
        except OSError as error:
            self.unread.append(f"{path}: {error.strerror or error}")
        except UnpacksToTooMuch as error:
            self.unread.append(f"{path}: {error}")

    def _opened(self, place: str, file: IO[bytes], budget: Budget, *, depth: int) -> Iterator[Content]:
        """The file as it lies there, then what is packed into it."""
        yield place, self._guarded(place, chunks_of(file))
        kind = kind_of(file)
        if kind is None or (kind == "git pack" and self._is_in_a_history(place)):
            return
        if kind not in READABLE:
            self.unread.append(f"{place}: {kind} cannot be unpacked here; unpack it and search the folder")
            return
        if depth >= self.limits.depth:
            self.unread.append(f"{place}: packed more than {self.limits.depth} deep")
            return
        try:
            for name, open_member in members_of(kind, file, self.limits):
                inner = f"{place}!{name}"
                try:
                    with open_member() as member:
                        held = spooled(member, budget)
                except UNREADABLE as error:
                    self.unread.append(f"{inner}: it cannot be unpacked ({error})")
                    continue
                with held:
                    yield from self._opened(inner, held, budget, depth=depth + 1)
        except UNREADABLE as error:
            self.unread.append(f"{place}: {kind} that cannot be unpacked ({error})")

    def _is_in_a_history(self, place: str) -> bool:
        """Whether git has read it already, as its own."""
        return not self._histories.isdisjoint(Path(place).resolve().parents)

    def _guarded(self, place: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from chunks
        except UNREADABLE as error:
            self.unread.append(f"{place}: {error}")
