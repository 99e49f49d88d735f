"""Owns what is packed: archives and compressed files told by their bytes, and their members opened within limits."""

import bz2
import gzip
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from tempfile import SpooledTemporaryFile
from typing import IO, Any

CHUNK_BYTES = 1 << 20
_SPOOL_BYTES = 1 << 24
# What a member costs at least, so that a million empty ones come to an end too.
_MEMBER_BYTES_MIN = 1 << 12

_HEADS: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "rar"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"MSCF\0\0\0\0", "cab"),
    (b"xar!", "xar"),
    (b"# v2 git bundle\n", "git bundle"),
    (b"# v3 git bundle\n", "git bundle"),
    (b"PACK\0\0\0\x02", "git pack"),
)
_OPENERS: dict[str, Callable[[Any], Any]] = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}
READABLE = frozenset({"zip", "tar", *_OPENERS})
UNREADABLE = (OSError, EOFError, RuntimeError, NotImplementedError, zlib.error, lzma.LZMAError, zipfile.BadZipFile,
              tarfile.TarError, ValueError)  # fmt: skip

_ZIP_END = b"PK\x05\x06"
_ZIP_END_BYTES = 22
# The end record, a comment as long as can be, and before them the records of a zip64.
_ZIP_TAIL_BYTES = _ZIP_END_BYTES + 0xFFFF + 20 + 56


class UnpacksToTooMuch(Exception):
    """One file holds more than is searched of one; not an error of the member, but the end of the whole."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How far one file is unpacked. What lies beyond is said, never passed over in silence."""

    depth: int = 5
    """An archive in an archive in an archive: a leak may well lie there, a bomb rather."""
    member_bytes: int = 1 << 30
    unpacked_bytes: int = 4 << 30
    """Everything that is unpacked from one file together, at every depth."""
    zip_directory_bytes: int = 32 << 20
    """A zip's list of members is read at once: this is some 300,000 of them."""


LIMITS = Limits()


class Budget:
    """What may still be unpacked from one file."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._left_bytes = limits.unpacked_bytes

    def spend(self, count: int) -> None:
        """Raises UnpacksToTooMuch when it is used up."""
        self._left_bytes -= count
        if self._left_bytes < 0:
            raise UnpacksToTooMuch(
                f"it unpacks to more than {size_text(self.limits.unpacked_bytes)}; the rest of it is not searched"
            )


def size_text(count: int) -> str:
    """`4 GiB`, `32 MiB`, `100 bytes`."""
    for unit, shift in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if count >> shift:
            return f"{count >> shift} {unit}"
    return f"{count} bytes"


def chunks_of(file: IO[bytes]) -> Iterator[bytes]:
    """The file in pieces that fit into memory."""
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


def kind_of(file: IO[bytes]) -> str | None:
    """How the file is packed, whatever its name; None where it is not."""
    file.seek(0)
    head = file.read(512)
    for magic, kind in _HEADS:
        if head.startswith(magic):
            return kind
    if head[257:262] == b"ustar":
        return "tar"
    # A program in front of a zip, as installers and executable jars have it.
    return "zip" if _has_zip_at_its_end(file) else None


def members_of(kind: str, file: IO[bytes], limits: Limits) -> Iterator[tuple[str, Callable[[], IO[bytes]]]]:
    """What is packed, each to be opened and read before the next is asked for."""
    file.seek(0)
    if kind == "zip":
        directory_bytes = _zip_directory(file)[1]
        if directory_bytes > limits.zip_directory_bytes:
            raise ValueError(f"its list of members is longer than {size_text(limits.zip_directory_bytes)}")
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                if not member.is_dir():
                    yield member.filename, partial(archive.open, member)
    elif kind == "tar":
        with tarfile.open(fileobj=file, mode="r:") as tape:
            while (entry := tape.next()) is not None:
                content = tape.extractfile(entry) if entry.isreg() else None
                if content is not None:
                    yield entry.name, partial(_itself, content)
                # The tape would remember every entry it has passed.
                tape.members.clear()  # type: ignore[attr-defined]
    else:
        yield "unpacked", partial(_OPENERS[kind], file)


def _itself(content: IO[bytes]) -> IO[bytes]:
    return content


def spooled(member: IO[bytes], budget: Budget) -> "SpooledTemporaryFile[bytes]":
    """A copy one can seek in: in memory while it is small."""
    budget.spend(_MEMBER_BYTES_MIN)
    held: SpooledTemporaryFile[bytes] = SpooledTemporaryFile(max_size=_SPOOL_BYTES)  # noqa: SIM115 - the caller closes
    try:
        for chunk in chunks_of(member):
            budget.spend(len(chunk))
            if held.tell() + len(chunk) > budget.limits.member_bytes:
                raise ValueError(f"it unpacks to more than {size_text(budget.limits.member_bytes)}")
            held.write(chunk)
        held.seek(0)
    except BaseException:
        held.close()
        raise
    return held


def _zip_directory(file: IO[bytes]) -> tuple[int, int]:
    """Where the list of a zip's members ends and how long it is, found as `zipfile` finds it; zeros for none."""
    size = file.seek(0, 2)
    start = max(0, size - _ZIP_TAIL_BYTES)
    file.seek(start)
    tail = file.read()
    file.seek(0)
    at = len(tail) - _ZIP_END_BYTES
    if at < 0 or tail[at : at + 4] != _ZIP_END or tail[-2:] != b"\0\0":
        at = tail.rfind(_ZIP_END)
    if at < 0 or len(tail) - at < _ZIP_END_BYTES:
        return 0, 0
    (length,) = struct.unpack_from("<L", tail, at + 12)
    record = at - 20 - 56
    if record >= 0 and tail[at - 20 : at - 16] == b"PK\x06\x07" and tail[record : record + 4] == b"PK\x06\x06":
        (length,) = struct.unpack_from("<Q", tail, record + 40)
        at = record
    return start + at, length


def _has_zip_at_its_end(file: IO[bytes]) -> bool:
    end, length = _zip_directory(file)
    if not 0 < length <= end:
        return False
    file.seek(end - length)
    found = file.read(4) == b"PK\x01\x02"
    file.seek(0)
    return found
