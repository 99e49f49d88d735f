"""What a service is told from outside: `POOLS_*` variables, read once at the start and refused by name when wrong."""

import difflib
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar, get_args

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from poolkit.tls_settings import TlsSettings

PREFIX: Final = "POOLS_"
EXIT_STATUS_REFUSED: Final = 2


def _host_and_port(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isascii() and port.isdecimal() and int(port) <= 65_535):
        raise ValueError("it is not host:port")
    return text


def _postgresql_url(secret: SecretStr) -> SecretStr:
    if not secret.get_secret_value().startswith(("postgresql://", "postgresql+asyncpg://")):
        raise ValueError("it is not a postgresql:// URL")
    return secret


def _is_loopback(address: str) -> bool:
    return address.rpartition(":")[0] in ("127.0.0.1", "localhost", "[::1]")


Address = Annotated[str, AfterValidator(_host_and_port)]
"""`host:port`; to listen on, port 0 means a free one."""

DatabaseUrl = Annotated[SecretStr, AfterValidator(_postgresql_url)]
"""`postgresql://role:password@host:port/database`; secret, because the password is in it."""


class ServiceSettings(TlsSettings):
    """What every service can be told; each service adds its own. Immutable, and secrets never show in its repr.

    A field's description says what to set, since it ends the sentence that refuses a bad value.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        validate_default=True,
    )

    mode: Literal["test", "live"] = Field(description="`test` or `live`; one deployment serves one mode")
    database_url: DatabaseUrl = Field(description="the postgresql:// URL of the service's runtime role")
    kafka_bootstrap: str = Field(
        default="127.0.0.1:9092", min_length=1, description="the broker's host:port, several with commas"
    )
    grpc_listen: Address = Field(default="127.0.0.1:0", description="host:port for colleagues' gRPC calls")
    health_listen: Address = Field(default="127.0.0.1:0", description="host:port for plaintext gRPC health checks")
    metrics_listen: Address = Field(default="127.0.0.1:0", description="host:port for Prometheus")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="`debug`, `info`, `warning` or `error`"
    )
    log_format: Literal["json", "console"] = Field(default="json", description="`json` or `console`")
    otlp_endpoint: str | None = Field(default=None, description="where spans go, such as http://collector:4317")
    zipkin_endpoint: str | None = Field(
        default=None, description="where spans go as Zipkin JSON, such as http://zipkin:9411/api/v2/spans"
    )
    span_directory: Path | None = Field(default=None, description="a directory that keeps spans on this machine")
    trace_samples_per_second_max: float = Field(
        default=5.0, ge=0, le=100_000, allow_inf_nan=False, description="how many requests a second are traced, from 0"
    )
    drain_seconds: float = Field(
        default=5.0, ge=0, le=600, allow_inf_nan=False, description="seconds that begun work may take to end, 0 to 600"
    )
    database_pool_size: int = Field(default=8, ge=1, le=200, description="connections to the database, 1 to 200")
    crashpoint: str = Field(default="", description="a crash point to die at; for tests, in mode `test` only")

    @model_validator(mode="after")
    def _crash_only_in_test(self) -> "ServiceSettings":
        if self.crashpoint and self.mode != "test":
            raise ValueError(
                f"{PREFIX}CRASHPOINT is set in mode {self.mode}, where nothing may be killed on purpose; unset it."
            )
        return self

    @model_validator(mode="after")
    def _proves_itself_where_money_is_real(self) -> "ServiceSettings":
        if self.mode == "live" and not self.has_identity and not _is_loopback(self.grpc_listen):
            raise ValueError(
                f"In mode live colleagues on other machines reach {PREFIX}GRPC_LISTEN, and anybody could be one: set "
                f"{PREFIX}TLS_CERTIFICATE_FILE, {PREFIX}TLS_KEY_FILE and {PREFIX}TLS_CA_FILE, or listen on loopback."
            )
        return self


class MigratorSettings(BaseSettings):
    """All that `migrate` needs. It runs as a job of its own, and a serving process is refused the migrator's URL."""

    model_config = ServiceSettings.model_config

    migrator_database_url: DatabaseUrl = Field(description="the postgresql:// URL of the service's migrator role")
    runtime_role: str = Field(
        default="",
        pattern=r"^([a-z_][a-z0-9_]{0,62})?$",
        description="the role that is granted what serving uses; by default the migrator's with `_runtime` at its end",
    )
    lock_timeout_ms: int = Field(
        default=5000, ge=10, le=60_000, description="milliseconds to wait for a lock before trying again, 10 to 60000"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="`debug`, `info`, `warning` or `error`"
    )
    log_format: Literal["json", "console"] = Field(default="json", description="`json` or `console`")


SettingsClass = TypeVar("SettingsClass", bound=BaseSettings)


def load(settings_class: type[SettingsClass], besides: type[BaseSettings] | None = None) -> SettingsClass:
    """Read the environment, or say on stderr, one sentence each, what is wrong with it, and exit with status 2.

    What only `besides` knows may be set as well and is not looked at.
    """
    refusals = _unknown_variables(settings_class, besides)
    settings: SettingsClass | None = None
    try:
        settings = settings_class()
    except ValidationError as error:
        refusals += [_sentence(settings_class, details) for details in error.errors(include_url=False)]
    if refusals or settings is None:
        print("The settings were refused:", *refusals, sep="\n  ", file=sys.stderr)
        raise SystemExit(EXIT_STATUS_REFUSED)
    return settings


def _unknown_variables(settings_class: type[BaseSettings], besides: type[BaseSettings] | None) -> list[str]:
    classes = [settings_class] if besides is None else [settings_class, besides]
    known = [variable(name) for allowed in classes for name in allowed.model_fields]
    for_migrate = {variable(name) for name in MigratorSettings.model_fields}
    refusals = []
    for name in sorted(os.environ):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            if name.upper() in for_migrate:
                refusals.append(f"{name} is for `migrate` alone, and serving must not hold it; unset it.")
                continue
            near = difflib.get_close_matches(name.upper(), known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}."
            refusals.append(f"{name} is not a setting of this service, so it would be ignored; {hint}")
    return refusals


def _sentence(settings_class: type[BaseSettings], details: Any) -> str:
    # A custom validator's own words come with pydantic's prefix, which says nothing to an operator.
    why = details["msg"].removeprefix("Value error, ")
    if not details["loc"]:
        return str(why)
    name = str(details["loc"][0])
    field = settings_class.model_fields[name]
    what_to_do = f"set it to {field.description}." if field.description else "correct it."
    if details["type"] == "missing":
        return f"{variable(name)} is missing; {what_to_do}"
    shown = "has a value" if _is_secret(field.annotation) else f"is {details['input']!r}"
    return f"{variable(name)} {shown} that cannot be used ({why[:1].lower()}{why[1:]}); {what_to_do}"


def variable(field_name: str) -> str:
    """The name of the environment variable that sets a field."""
    return f"{PREFIX}{field_name.upper()}"


def _is_secret(annotation: Any) -> bool:
    return annotation is SecretStr or any(_is_secret(argument) for argument in get_args(annotation))
