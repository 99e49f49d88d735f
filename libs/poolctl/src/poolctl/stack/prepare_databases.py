"""Owns making the services' databases and roles on a PostgreSQL that was started by others. Harmless to repeat."""

import asyncio
import re
import time

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from poolctl.stack.databases import ensure_databases
from poolkit.settings import PREFIX, DatabaseUrl, load

_SECONDS_MAX = 60.0
_PAUSE_SECONDS = 0.5


class DatabasesSettings(BaseSettings):
    """Where the server is, and the password that all roles get: for development, where one person has them all."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True)

    admin_database_url: DatabaseUrl = Field(description="the postgresql:// URL of a superuser")
    role_password: SecretStr = Field(description="the password that new roles get, of letters, digits, - and _")

    @field_validator("role_password")
    @classmethod
    def _needs_no_escaping(cls, secret: SecretStr) -> SecretStr:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", secret.get_secret_value()):
            raise ValueError("it has characters that a URL would have to escape")
        return secret


class _Server:
    """The server as `ensure_databases` asks for it."""

    def __init__(self, settings: DatabasesSettings) -> None:
        self._settings = settings

    def url(self) -> str:
        return self._settings.admin_database_url.get_secret_value()

    def password(self, _role: str) -> str:
        return self._settings.role_password.get_secret_value()


async def prepare(settings: DatabasesSettings) -> None:
    """Makes what is missing, once the server answers; raises what kept it from answering for a minute."""
    deadline = time.monotonic() + _SECONDS_MAX
    while True:
        try:
            await ensure_databases(_Server(settings))
        except OSError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(_PAUSE_SECONDS)
        else:
            return


if __name__ == "__main__":
    asyncio.run(prepare(load(DatabasesSettings)))
    print("databases and roles are there")
