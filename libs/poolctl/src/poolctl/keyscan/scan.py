"""Owns a scan from paths to report: what was found, how much was read, and what could not be."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from poolctl.keyscan.archives import LIMITS, Limits
from poolctl.keyscan.contents import Contents
from poolctl.keyscan.match import find_keys, redacted


@dataclass(frozen=True, slots=True)
class Finding:
    """A secret key and where it lies. The key itself is not kept: a report must not be the next leak."""

    path: str
    line: int
    mode: str
    redacted: str

    @property
    def place(self) -> str:
        """As editors and terminals like it."""
        return f"{self.path}:{self.line}"


@dataclass(slots=True)
class Report:
    """What a scan found. It is `ok` only when it found nothing and has read everything."""

    findings: list[Finding] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    read_count: int = 0
    read_bytes: int = 0

    @property
    def ok(self) -> bool:
        """Whether this is evidence that no secret key lies there."""
        return not self.findings and not self.unread

    def document(self) -> dict[str, Any]:
        """As JSON tells it."""
        return {
            "ok": self.ok,
            "findings": [
                {"path": found.path, "line": found.line, "mode": found.mode, "key": found.redacted}
                for found in self.findings
            ],
            "notRead": self.unread,
            "filesRead": self.read_count,
            "bytesRead": self.read_bytes,
        }


def scan_paths(paths: Sequence[Path], limits: Limits = LIMITS) -> Report:
    """Searches everything at and below the paths. Reads only, and reaches out to nobody."""
    report = Report()
    contents = Contents(report.unread, limits)
    found: dict[tuple[str, str], Finding] = {}
    for path in paths:
        for place, chunks in contents.of(path):
            report.read_count += 1
            for match in find_keys(_counted(chunks, report)):
                for outer in _outside(place):
                    # What is packed without compression shows through; the member's own place says more.
                    found.pop((outer, match.key), None)
                found.setdefault((place, match.key), Finding(place, match.line, match.key[3:7], redacted(match.key)))
    report.findings = list(found.values())
    return report


def _outside(place: str) -> Iterator[str]:
    """The places that the place is packed into."""
    while "!" in place:
        place = place.rpartition("!")[0]
        yield place


def _counted(chunks: Iterator[bytes], report: Report) -> Iterator[bytes]:
    for chunk in chunks:
        report.read_bytes += len(chunk)
        yield chunk
