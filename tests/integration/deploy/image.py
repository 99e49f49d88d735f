"""Builds what an image holds by taking the steps of its Dockerfile one after the other, in a folder."""

import json
import os
import shutil
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from tests.dockerfiles import DOCKERFILES, Dockerfile
from tests.unit.house.tree import ROOT

TOOLS, ENVIRONMENT = "/tools", "/opt/pools"


def uv_environment() -> dict[str, str]:
    """Where packages come from on this machine, as `make setup` finds out; packages fetched once are not again."""
    spec = spec_from_file_location("install", ROOT / "deploy" / "requirements" / "install.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    told: dict[str, str] = module.uv_environment()
    return told


class Image:
    """What `docker build` would leave below /opt/pools, in a folder of this machine."""

    def __init__(self, name: str, scratch: Path) -> None:
        self.dockerfile = Dockerfile.read(DOCKERFILES[name])
        self._scratch = scratch
        self._places = {TOOLS: scratch / "tools", ENVIRONMENT: scratch / name / "environment"}
        self._context = scratch / name / "build"
        self.bin = self._places[ENVIRONMENT] / "bin"

    def build(self) -> None:
        """Takes every step of the build stage; tools that another image's build has made are not made again."""
        self._context.mkdir(parents=True)
        build, final = self.dockerfile.stages
        for step in build.instructions:
            if step.name == "COPY":
                self._copy(*step.words)
            elif step.name == "RUN":
                self._run(step.exec_form)
        assert [copy.text for copy in final.all("COPY")] == [f"--from=build {ENVIRONMENT} {ENVIRONMENT}"]

    def entry(self, *arguments: str) -> list[str]:
        """The command that the image starts, with other arguments than its own where some are given."""
        final = self.dockerfile.stages[-1]
        usual = [word for command in final.all("CMD") for word in command.exec_form]
        program, *rest = final.one("ENTRYPOINT").exec_form
        return [str(self.bin / program), *rest, *(arguments or usual)]

    def health_command(self) -> list[str]:
        """What HEALTHCHECK runs."""
        healthcheck = self.dockerfile.stages[-1].one("HEALTHCHECK").text
        program, *rest = json.loads(healthcheck.partition("CMD ")[2])
        return [str(self.bin / program), *rest]

    def _copy(self, source: str, target: str) -> None:
        to = self._context / target
        to.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            # As .dockerignore has it: what git does not know does not reach the builder either.
            ignored = shutil.ignore_patterns("__pycache__", "build", "dist", "*.egg-info", "pools")
            shutil.copytree(ROOT / source, to, ignore=None if source == "protos" else ignored, dirs_exist_ok=True)
        else:
            shutil.copyfile(ROOT / source, to)

    def _run(self, command: list[str]) -> None:
        if command[0] == "python":
            command = [sys.executable, *command[1:]]
        made = self._places[TOOLS] / "made"
        about_tools = TOOLS in command or command[:2] == [f"{TOOLS}/bin/pip", "install"]
        if about_tools and made.exists() and str(command) in made.read_text():
            return
        here = self._here(command)
        done = subprocess.run(here, cwd=self._context, env=self._told(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        if about_tools:
            with made.open("a") as notes:
                notes.write(f"{command}\n")

    def _here(self, command: list[str]) -> list[str]:
        """The command with the image's places replaced; uv installs instead of pip, as it keeps what it fetched."""
        words = [self._replaced(word) for word in command]
        if "install" not in command:
            return words
        python = words[words.index("--python") + 1] if "--python" in words else self._replaced(f"{TOOLS}/bin/python")
        rest = words[words.index("install") + 1 :]
        return [str(Path(sys.executable).with_name("uv")), "pip", "install", "--python", python, *rest]

    def _replaced(self, word: str) -> str:
        for place, folder in self._places.items():
            if word == place or word.startswith(f"{place}/"):
                return str(folder) + word.removeprefix(place)
        return word

    def _told(self) -> dict[str, str]:
        told = {**os.environ, **uv_environment()}
        return {name: value for name, value in told.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
