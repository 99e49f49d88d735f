"""A stack of programs that only pretend to be services, and ways to see what it said and what of it lives."""

from pathlib import Path

from poolctl.stack import Stack
from poolctl.stack.layout import Layout
from poolctl.stack.process import ProcessIdentity
from poolctl.stack.programs import Program

REPOSITORY = Path(__file__).parents[3]
FAKE = "tests.integration.poolctl.fake_service"
CALLEE = Program("quote", FAKE, "pools-quote", database="quote", stop_wave=2)
CALLER = Program("gateway", FAKE, "pools-gateway", database="gateway", stop_wave=1)
PROGRAMS = (CALLEE, CALLER)
ENVIRONMENT = {program.name: {"PYTHONPATH": str(REPOSITORY)} for program in PROGRAMS}


class Said(list[tuple[str, str]]):
    """What a stack said."""

    def say(self, part: str, words: str) -> None:
        self.append((part, words))

    def of(self, part: str) -> str:
        return "\n".join(words for name, words in self if name == part)


def fake_stack(directory: Path, said: Said | None = None, **options: object) -> Stack:
    """On a data directory, not started yet."""
    given = {"programs": PROGRAMS, "environment": ENVIRONMENT, "say": (Said() if said is None else said).say} | options
    return Stack(directory, **given)  # type: ignore[arg-type]


def living(layout: Layout) -> list[str]:
    """The parts that have a pid file and live."""
    files = [*layout.run.glob("*.pid"), *layout.postgres.glob("*.pid"), *layout.kafka.glob("*.pid")]
    identities = {file.stem: ProcessIdentity.read(file) for file in files}
    return [name for name, identity in identities.items() if identity is not None and identity.alive]
