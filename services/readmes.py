"""Writes the reference part of each service's README from its code: settings with their defaults, RPCs.

python services/readmes.py           writes it
python services/readmes.py --check   says which is out of date, and exits 1
"""

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from pydantic.fields import FieldInfo

from poolkit.rpc.callers import ALLOWED
from poolkit.settings import MigratorSettings, ServiceSettings, variable
from pools_contracts.policies import POLICIES

SERVICES = Path(__file__).resolve().parent
BEGIN = "<!-- reference: written by `make docs` from the code -->"
END = "<!-- end of reference -->"
_REGISTERED = re.compile(r"\badd_(\w+)Servicer_to_server\b")


def settings_of(service: str) -> type[ServiceSettings]:
    """The settings class of a service, by the name of its folder."""
    module = importlib.import_module(f"{service.replace('-', '_')}.settings")
    [found] = [
        member
        for member in vars(module).values()
        if isinstance(member, type) and issubclass(member, ServiceSettings) and member is not ServiceSettings
    ]
    return found


def served(service: str) -> list[str]:
    """The full names of its contract's RPC services, and of those that several have and it registers."""
    sources = (SERVICES / service / "src").rglob("*.py")
    names = {name for source in sources for name in _REGISTERED.findall(source.read_text(encoding="utf-8"))}
    own, shared = f"pools.{service.replace('-', '_')}.v1.", "pools.types.v1."
    return [
        full
        for full in POLICIES
        if full.startswith(own) or (full.startswith(shared) and full.removeprefix(shared) in names)
    ]


def reference(service: str) -> str:
    """The part between the two marks."""
    settings = settings_of(service)
    own = {name: field for name, field in settings.model_fields.items() if name not in ServiceSettings.model_fields}
    lines = [BEGIN, "## Settings", ""]
    if own:
        lines += ["Its own:", "", *table(own), ""]
    lines += ["Those of every service:", "", *table(ServiceSettings.model_fields), ""]
    lines += [f"`{service} migrate` reads these alone:", "", *table(MigratorSettings.model_fields), ""]
    lines += ["## RPCs", "", "| service | methods | callers |", "|---|---|---|"]
    for full in served(service):
        policy = POLICIES[full]
        lines.append(f"| `{full}` | {', '.join((*policy.repeatable, *policy.once))} | {callers_of(full)} |")
    return "\n".join([*lines, END])


def callers_of(full: str) -> str:
    """Whom an RPC service is for, and which of its methods are for others."""
    if not ALLOWED[full]:
        return "partners, by API key"
    own = ", ".join(sorted(ALLOWED[full]))
    others = {
        path.partition("/")[2]: ", ".join(sorted(ALLOWED[path])) for path in ALLOWED if path.startswith(f"{full}/")
    }
    return "; ".join([own, *(f"{method}: {callers}" for method, callers in others.items())])


def table(fields: dict[str, FieldInfo]) -> Iterator[str]:
    """Settings as a Markdown table."""
    yield "| variable | default | what |"
    yield "|---|---|---|"
    for name, field in fields.items():
        what = (field.description or "").replace("|", r"\|")
        yield f"| `{variable(name)}` | {default_of(field)} | {what} |"


def default_of(field: FieldInfo) -> str:
    """What holds where nothing is set, as it would be written into the environment."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    shown = value.get_secret_value() if hasattr(value, "get_secret_value") else value
    if shown is None or shown == "" or shown == {}:
        return "none"
    return f"`{str(shown).lower() if isinstance(shown, bool) else shown}`"


def rewritten(service: str) -> str:
    """The README with its reference part as the code has it now."""
    text = (SERVICES / service / "README.md").read_text(encoding="utf-8")
    if BEGIN not in text:
        return f"{text.rstrip()}\n\n{reference(service)}\n"
    before, _, rest = text.partition(BEGIN)
    return before + reference(service) + rest.partition(END)[2]


def main(arguments: list[str]) -> int:
    """Writes or checks all of them."""
    stale = []
    for service in sorted(path.parent.name for path in SERVICES.glob("*/pyproject.toml")):
        readme = SERVICES / service / "README.md"
        text = rewritten(service)
        if text != readme.read_text(encoding="utf-8"):
            stale.append(f"services/{service}/README.md")
            if "--check" not in arguments:
                readme.write_text(text, encoding="utf-8")
    if "--check" in arguments and stale:
        print(f"{', '.join(stale)}: the settings or RPCs are not those of the code any more; run `make docs`.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
