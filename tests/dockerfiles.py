"""Dockerfiles as data: stages of instructions, with exec forms parsed."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.unit.house.tree import ROOT, SERVICES

DOCKERFILES = {
    **{service: Path("services") / service / "Dockerfile" for service in SERVICES},
    "sandbox": Path("libs/poolctl/Dockerfile"),
}


@dataclass(frozen=True)
class Instruction:
    """One line, such as `USER 10001:10001`."""

    name: str
    text: str

    @property
    def exec_form(self) -> list[str]:
        """The command as a list. Fails for the shell form, which starts a shell that passes no signal on."""
        told = json.loads(self.text)
        assert isinstance(told, list)
        return [str(word) for word in told]

    @property
    def words(self) -> list[str]:
        return self.text.split()


@dataclass
class Stage:
    """From one FROM to the next."""

    base: str
    name: str
    instructions: list[Instruction] = field(default_factory=list)

    def all(self, name: str) -> list[Instruction]:
        return [instruction for instruction in self.instructions if instruction.name == name]

    def one(self, name: str) -> Instruction:
        [found] = self.all(name)
        return found

    def copies(self) -> Iterator[tuple[str, str]]:
        """What is copied out of the tree, and where to."""
        for instruction in self.all("COPY"):
            if not instruction.text.startswith("--from="):
                source, target = instruction.words
                yield source, target


@dataclass
class Dockerfile:
    """A whole file: its arguments before the first stage, and its stages."""

    arguments: dict[str, str]
    stages: list[Stage]

    @classmethod
    def read(cls, path: Path) -> "Dockerfile":
        """Parses what we write: one instruction a line, no continuation, no here-document."""
        arguments, stages = {}, []
        for line in (ROOT / path).read_text(encoding="utf-8").splitlines():
            if not line or line.startswith("#"):
                continue
            name, _, text = line.partition(" ")
            if name == "FROM":
                base, _, alias = text.partition(" AS ")
                stages.append(Stage(base, alias))
            elif not stages:
                assert name == "ARG"
                argument, _, default = text.partition("=")
                arguments[argument] = default
            else:
                stages[-1].instructions.append(Instruction(name, text))
        return cls(arguments, stages)
