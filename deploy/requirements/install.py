"""Makes .venv: the pinned packages of dev.txt, checked by hash, and the project's own distributions, editable.

Run by `make setup` with whatever `python3` is there, so this file uses the standard library alone. The packages come
through uv, which takes seconds; uv does not read pip's configuration, so what pip is told about indexes and
certificates is handed on, and where uv fails all the same pip does the work.
"""

import fcntl
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
PINS = ROOT / "deploy" / "requirements" / "dev.txt"
PYTHON_MIN = (3, 11)

# What pip calls it, and what uv does.
UV_NAMES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "proxy": "HTTPS_PROXY",
    "no-index": "UV_NO_INDEX",
}


def say(sentence: str) -> None:
    """One line of progress, at once."""
    print(f"setup: {sentence}", flush=True)


def run(*command: str) -> bool:
    """Whether the command succeeded; its own words go straight to the terminal."""
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def run_uv(arguments: "list[str]", environment: "dict[str, str]") -> bool:
    """Whether uv succeeded; of its words the downloads, the sums and the errors are shown, not each package's name."""
    # Compiled now: where Python may not write bytecode, each of the tests' many processes would compile it all again.
    command = [str(VENV / "bin" / "uv"), "pip", "install", "--compile-bytecode", "--python", str(PYTHON), *arguments]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr or ():
            if not line.startswith((" + ", " - ", " ~ ", "   Building ", "      Built ")):
                print(f"  {line}", end="", flush=True)
    return process.returncode == 0


def require_python() -> None:
    """Stops with a sentence when this interpreter cannot carry the project."""
    if sys.version_info < PYTHON_MIN:
        found = ".".join(map(str, sys.version_info[:3]))
        sys.exit(
            f"setup: Python 3.11 or newer is needed, and {sys.executable} is {found}. "
            "Name another one: make setup PYTHON=/path/to/python3.11"
        )
    for module in ("venv", "ensurepip"):
        if importlib.util.find_spec(module) is None:
            sys.exit(
                f"setup: {sys.executable} comes without its '{module}' module, so it can make no virtual environment. "
                "Install it (on Debian and Ubuntu: apt-get install python3-venv) and run this again."
            )


def make_venv() -> None:
    """A virtual environment of this interpreter's version; one that is broken or of another version is made anew."""
    expected = "{}.{}".format(*sys.version_info)
    if PYTHON.exists():
        told = subprocess.run(
            [PYTHON, "-c", "import sys, pip; print('{}.{}'.format(*sys.version_info))"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if told.stdout.strip() == expected:
            return
    if VENV.exists():
        say("the virtual environment is broken or of another Python; making it anew")
        shutil.rmtree(VENV)
    say(f"making .venv with Python {expected}")
    if not run(sys.executable, "-m", "venv", str(VENV)):
        sys.exit("setup: the virtual environment could not be made; the lines above say why.")


def pin_of(package: str) -> str:
    """The lines of dev.txt that pin one package, hashes included."""
    lines = PINS.read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"{package}=="))
    end = start
    while lines[end].endswith("\\"):
        end += 1
    return "\n".join(lines[start : end + 1]) + "\n"


def install_uv() -> bool:
    """The pinned uv inside .venv, by pip."""
    uv, pin = VENV / "bin" / "uv", pin_of("uv")
    version = pin.split("==")[1].split()[0]
    if uv.exists():
        told = subprocess.run([uv, "--version"], capture_output=True, text=True, check=False)
        if told.stdout.split()[1:2] == [version]:
            return True
    say(f"fetching uv {version}")
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write(pin)
        file.flush()
        return run(str(PYTHON), "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "-r", file.name)


def uv_environment() -> "dict[str, str]":
    """This environment, with what pip is configured with said in uv's words; uv's own variables win."""
    listed = subprocess.run([PYTHON, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False).stdout
    told: dict[str, str] = {}
    for scope in ("global.", "install.", ":env:."):  # the later wins, as in pip
        for line in listed.splitlines():
            name, separator, value = line.partition("=")
            if separator and name.startswith(scope) and name[len(scope) :] in UV_NAMES:
                words = " ".join(shlex.split(value)).split()
                told[UV_NAMES[name[len(scope) :]]] = ("," if "find-links" in name else " ").join(words)
    return {"VIRTUAL_ENV": str(VENV), **told, **{k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"}}


def install_packages(environment: "dict[str, str] | None") -> None:
    """Everything of dev.txt, then the project's own distributions; `environment` is uv's, None without uv."""
    own = sorted(str(path.parent) for where in ("libs", "services") for path in ROOT.glob(f"{where}/*/pyproject.toml"))
    editable = [word for directory in own for word in ("--editable", directory)]
    steps = (
        ("installing the pinned packages", ["--require-hashes", "-r", str(PINS)]),
        (f"installing the {len(own)} distributions of this project", ["--no-deps", "--no-build-isolation", *editable]),
    )
    for sentence, arguments in steps:
        say(sentence)
        if environment and run_uv(arguments, environment):
            continue
        if environment:
            say("uv could not do it; trying pip, which takes longer")
        if not run(str(PYTHON), "-m", "pip", "install", "--quiet", *arguments):
            sys.exit("setup: packages could not be installed; the lines above say which and why.")


def main() -> None:
    """Everything above, in order, one run at a time."""
    require_python()
    lock = ROOT / "build" / "setup.lock"
    lock.parent.mkdir(exist_ok=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        make_venv()
        install_packages(uv_environment() if install_uv() else None)


if __name__ == "__main__":
    main()
