"""What each program of ours may and must be told, read off its settings class."""

import importlib
from pathlib import Path
from typing import Any, get_args

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr
from pydantic_settings import BaseSettings

from gateway.settings import GatewaySettings
from poolctl.sandbox.settings import SandboxSettings
from poolctl.sandbox.sources import SourceSettings
from poolkit.settings import PREFIX, DatabaseUrl, MigratorSettings, ServiceSettings, load, variable
from poolkit.topics import TopicSettings
from tests.unit.house.tree import SERVICES

# Files and folders that a deployment does well without, each for its reason.
LEFT_ALONE = {"span_directory": "spans go to a collector"}


def settings_of(service: str) -> type[ServiceSettings]:
    """The settings class of a service, by the name of its folder."""
    module = importlib.import_module(f"{SERVICES[service]}.settings")
    [found] = [
        member
        for member in vars(module).values()
        if isinstance(member, type) and issubclass(member, ServiceSettings) and member is not ServiceSettings
    ]
    return found


def settings_for(name: str, command: tuple[str, ...]) -> type[BaseSettings]:
    """What a container named so and running this reads."""
    programs: dict[tuple[str, ...], type[BaseSettings]] = {
        ("migrate",): MigratorSettings,
        ("python", "-m", "poolkit.topics"): TopicSettings,
        ("python", "-m", "poolctl.sandbox.sources"): SourceSettings,
    }
    if command in programs:
        return programs[command]
    return SandboxSettings if name == "sandbox" else settings_of(name)


def must_be_told(settings: type[BaseSettings]) -> set[str]:
    """What a deployment has to say: what is required, every port and colleague, the broker, every secret and file."""
    return {
        variable(name)
        for name, field in settings.model_fields.items()
        if name not in LEFT_ALONE
        and (
            field.is_required()
            or name.endswith(("_listen", "_address"))
            or name == "kafka_bootstrap"
            or _holds(field.annotation, SecretStr)
            or _holds(field.annotation, Path)
        )
    }


def file_settings(settings: type[BaseSettings]) -> set[str]:
    """The variables that name a file or a folder."""
    return {variable(name) for name, field in settings.model_fields.items() if _holds(field.annotation, Path)}


def disagreements(settings: type[BaseSettings], told: set[str], where: str) -> list[str]:
    """What is set and not known, and what is known and has to be set, in sentences."""
    known = {variable(name) for name in settings.model_fields}
    ours = {name for name in told if name.startswith(PREFIX)}
    return [
        *(f"{where} sets {name}, which {settings.__name__} does not know" for name in sorted(ours - known)),
        *(f"{where} does not set {name} of {settings.__name__}" for name in sorted(must_be_told(settings) - ours)),
    ]


def accepted(settings: type[BaseSettings], told: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> BaseSettings:
    """The settings as the program itself reads them; values that are no text come out of a secret and are made up."""
    for name, value in told.items():
        monkeypatch.setenv(name, value if isinstance(value, str) else _sample(settings, name))
    return load(settings)


def is_unhindered(gateway: GatewaySettings) -> bool:
    """Whether two hundred calls in flight, each answered within ten milliseconds, stay below every rate limit."""
    limits = (gateway.key_rate_limit, gateway.organization_rate_limit)
    return all(min(limit.per_second, limit.burst) > 200 / 0.010 for limit in limits)


def _sample(settings: type[BaseSettings], name: str) -> str:
    field = settings.model_fields[name.removeprefix(PREFIX).lower()]
    if name.endswith("DATABASE_URL"):
        assert field.annotation in get_args(DatabaseUrl)
        return "postgresql://service_runtime:password@database:5432/service"
    # Good for every secret that is merely long, and for those that are keys.
    return Fernet.generate_key().decode()


def _holds(annotation: Any, kind: type) -> bool:
    return annotation is kind or any(_holds(argument, kind) for argument in get_args(annotation))
