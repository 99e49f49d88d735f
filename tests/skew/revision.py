"""Another revision of this tree, built for itself: its files, its own pinned packages, its stubs, one Python for each
service that is told no setting it does not know."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.unit.house.tree import ROOT

FOLDER = ROOT / "build" / "skew"

# A setting that is newer than the revision would be refused by name, and nobody would have set it on that day.
WRAPPER = """#!/bin/sh
for name in $(env | sed -n 's/^\\(POOLS_[A-Z0-9_]*\\)=.*/\\1/p'); do
  case ' {known} ' in *" $name "*) ;; *) unset "$name" ;; esac
done
exec {python} "$@"
"""


class CannotBuild(Exception):
    """There is no such revision, or it cannot be built here; says why."""


@dataclass(frozen=True, slots=True)
class Revision:
    """A commit and where it is built."""

    commit: str
    folder: Path

    @classmethod
    def of(cls, name: str) -> Self:
        """The commit that `name` (a hash, a tag, `HEAD~3`) stands for."""
        found = subprocess.run(
            ["git", "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if found.returncode != 0:
            raise CannotBuild(f"There is no revision {name!r} in this repository; name a commit or a tag.")
        commit = found.stdout.strip()
        return cls(commit, FOLDER / commit[:12])

    def build(self) -> None:
        """Its tree in a folder of its own, and in there what its own `make setup` makes; nothing is built twice."""
        done = self.folder / ".skew-built"
        if done.exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        archive = subprocess.run(["git", "archive", self.commit], cwd=ROOT, capture_output=True, check=True).stdout
        subprocess.run(["tar", "-x", "-C", self.folder], input=archive, check=True)
        ours = ("VIRTUAL_ENV", "PYTHONPATH", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")
        environment = {name: value for name, value in os.environ.items() if name not in ours}
        made = subprocess.run(
            ["make", "setup"], cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
        if made.returncode != 0:
            raise CannotBuild(f"`make setup` failed in {self.folder}:\n{made.stdout}{made.stderr}")
        done.touch()

    def python_for(self, module: str) -> str:
        """A program that runs this revision's service as its Python would."""
        python = self.folder / ".venv" / "bin" / "python"
        asked = subprocess.run(
            [python, "-P", "-m", module, "--help"], cwd="/", capture_output=True, text=True, check=False
        )
        if asked.returncode != 0:
            raise CannotBuild(f"{module} of {self.commit[:12]} does not start:\n{asked.stderr}")
        about_serving = asked.stdout.partition("environment of `migrate`")[0]
        known = re.findall(r"^ +(POOLS_[A-Z0-9_]+) ", about_serving, flags=re.MULTILINE)
        wrapper = self.folder / f"python-{module}"
        wrapper.write_text(WRAPPER.format(known=" ".join(known), python=python))
        wrapper.chmod(0o755)
        return str(wrapper)

    def migrations_edited_since(self) -> list[str]:
        """Migrations that are there now as well, with other contents: databases of that revision cannot be upgraded."""
        told = subprocess.run(
            ["git", "diff", "--name-only", "--diff-filter=M", self.commit, "--", "services/*/migrations/versions"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        return told.stdout.split()
