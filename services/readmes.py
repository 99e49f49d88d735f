"""Writes the reference part of each service's README from its code: settings, port numbers, RPCs, alerts.

python services/readmes.py           writes it
python services/readmes.py --check   says which is out of date, and exits 1
"""

import ast
import importlib
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic.fields import FieldInfo

from poolkit.rpc.callers import ALLOWED
from poolkit.settings import MigratorSettings, ServiceSettings, variable
from pools_contracts.policies import POLICIES

SERVICES = Path(__file__).resolve().parent
BEGIN = "<!-- reference: written by `make docs` from the code -->"
END = "<!-- end of reference -->"
ROOT = SERVICES.parent
RULES = ("slo.yaml", "operations.yaml")
NAMES = sorted(path.parent.name for path in SERVICES.glob("*/pyproject.toml"))
_REGISTERED = re.compile(r"\badd_(\w+)Servicer_to_server\b")
_METRIC = re.compile(r'(?:Counter|Gauge|Histogram)\(\s*"([a-z_]+)"')
_NAMED = re.compile(r"\b(?:pools|service|http|rpc)_[a-z_]+|\bup\b")
_RECORDED = re.compile(r"\bpools:[a-z_0-9:]+")
_SUFFIX = re.compile(r"_(?:total|bucket|sum|count)$")
# What narrows a metric of all services down to who serves this RPC or this route.
_SERVES = re.compile(r'\b(method|operation)="(\w+)"')


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
    lines += ["", "## Port numbers", "", "Where it is deployed (`deploy/k8s`):", "", *ports(service)]
    lines += ["", "## Alerts", "", "What it measures can ring these:", "", *alerts(service)]
    return "\n".join([*lines, END])


def ports(service: str) -> Iterator[str]:
    """Each port with the setting behind it and the Kubernetes Service that leads there."""
    folder = ROOT / "deploy" / "k8s" / service
    [container] = documents(folder / "deployment.yaml", "Deployment")[0]["spec"]["template"]["spec"]["containers"]
    leading = {
        port["targetPort"]: found["metadata"]["name"]
        for found in documents(folder / "services.yaml", "Service")
        for port in found["spec"]["ports"]
    }
    yield "| port | number | setting | reached by |"
    yield "|---|---|---|---|"
    for port in container["ports"]:
        name, number = port["name"], port["containerPort"]
        by = f"Service `{leading[name]}`" if name in leading else "the pod's address"
        yield f"| {name} | {number} | `{variable(name.replace('-', '_') + '_listen')}` | {by} |"


def documents(file: Path, kind: str) -> list[dict[str, Any]]:
    """The objects of a kind in a file of manifests."""
    return [one for one in yaml.safe_load_all(file.read_text(encoding="utf-8")) if one["kind"] == kind]


def alerts(service: str) -> Iterator[str]:
    """Every alert on something that the service measures, in the order of the rules."""
    texts = [(ROOT / "deploy" / "observability" / "rules" / name).read_text(encoding="utf-8") for name in RULES]
    rules = [rule for text in texts for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
    recorded = {rule["record"]: rule["expr"] for rule in rules if "record" in rule}
    yield "| alert | how bad | what to do |"
    yield "|---|---|---|"
    for rule in rules:
        if "alert" in rule and service in measuring(_RECORDED.sub(lambda name: recorded[name[0]], rule["expr"])):
            page = rule["annotations"]["runbook_url"]
            yield f"| `{rule['alert']}` | {rule['labels']['severity']} | [{Path(page).stem}](../../{page}) |"


def measuring(query: str) -> set[str]:
    """The services that have what the query asks for: its metrics, and the RPC or route where it names one."""
    bare = re.sub(r"\{[^}]*\}|\bby \([^)]*\)", " ", query)
    found = {
        service for name in _NAMED.findall(bare) for service in NAMES if _SUFFIX.sub("", name) in measured(service)
    }
    serving = {
        service
        for label, value in _SERVES.findall(query)
        for service in NAMES
        if (value in methods(service) if label == "method" else f'name="{value}"' in code(service))
    }
    return found & serving if serving else found


@cache
def measured(service: str) -> frozenset[str]:
    """The metrics that the service's code declares, and those of the modules of poolkit's that it brings."""
    sources = (code(service), *(poolkit()[module] for module in brought(service)))
    return frozenset(("up", *(metric for source in sources for metric in _METRIC.findall(source))))


def methods(service: str) -> set[str]:
    """Every RPC method that the service serves."""
    return {method for full in served(service) for method in (*POLICIES[full].repeatable, *POLICIES[full].once)}


@cache
def code(service: str) -> str:
    """All of the service's sources."""
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted((SERVICES / service / "src").rglob("*.py")))


@cache
def poolkit() -> dict[str, str]:
    """The sources of poolkit by their modules' names."""
    src = ROOT / "libs" / "poolkit" / "src"
    names = {path: ".".join(path.relative_to(src).with_suffix("").parts) for path in src.rglob("*.py")}
    return {name.removesuffix(".__init__"): path.read_text(encoding="utf-8") for path, name in names.items()}


@cache
def brought(service: str) -> frozenset[str]:
    """The modules of poolkit that the service's sources import, and those that these do."""
    waiting, found = [code(service)], set[str]()
    while waiting:
        for node in ast.walk(ast.parse(waiting.pop())):
            if isinstance(node, ast.ImportFrom) and node.module:
                named = {node.module, *(f"{node.module}.{one.name}" for one in node.names)}
                new = (named & poolkit().keys()) - found
                found |= new
                waiting += [poolkit()[module] for module in new]
    return frozenset(found)


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
    for service in NAMES:
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
