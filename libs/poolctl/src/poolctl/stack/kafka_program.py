"""Owns Kafka's program: which jars it is made of, and how one of its classes is run."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poolctl.stack.java_jars import Release, Report, fetch_once

if TYPE_CHECKING:
    from jgo.maven import MavenContext

KAFKA_VERSION = "4.3.1"
_KAFKA = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}"
# What Kafka's own distribution adds to its jars: without it every word of the broker is thrown away.
_LOGGING = "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4"


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


async def resolve_program(fallback: Path, report: Report = lambda _: None) -> KafkaProgram:
    """The program, ready to run; without its start-up cache where none was made yet."""
    fetched = await fetch_once(Release("Kafka", KAFKA_VERSION, _gather), fallback, report)
    return KafkaProgram(fetched.java, fetched.jars, fetched.home / f"startup-{fetched.java_version}.aot")


def _gather(context: "MavenContext", attempt: Path) -> Sequence[Path]:
    from jgo.env import EnvironmentBuilder, LinkStrategy

    builder = EnvironmentBuilder(context=context, cache_dir=attempt, link_strategy=LinkStrategy.HARD)
    # jgo puts modular and plain jars in two folders; as a class path they are one list.
    kafka: Any = builder.from_endpoint(_KAFKA)
    jars = [*kafka.path.glob("jars/*.jar"), *kafka.path.glob("modules/*.jar")]
    # Resolved by itself, lest it changes the versions of Kafka's own; what it needs besides is among them already.
    logging: Any = builder.from_endpoint(_LOGGING)
    return [*jars, *logging.path.glob("*/log4j-slf4j-impl-*.jar")]
