"""Owns what a failure of PostgreSQL means: out of reach, lost to others and worth another try, or a mistake of ours."""

from __future__ import annotations

from typing import NoReturn

import asyncpg
from asyncpg import Record
from sqlalchemy.exc import DBAPIError, EmulatedDBAPIException

from poolkit.errors import Unavailable


class Contended(Unavailable):
    """The database undid the transaction because of others: deadlock, lock or statement timeout, changed schema.

    Unlike after other kinds of `Unavailable`, nothing has happened, so trying again at once is safe and useful.
    """


_OUT_OF_REACH = (
    OSError,  # includes TimeoutError: connecting, or a server that stopped answering
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,  # connected to what a failover has made a standby
)
_CONTENDED = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.OutdatedSchemaCacheError,
)


def reraise(error: Exception, driver: asyncpg.Connection[Record] | None) -> NoReturn:
    """Raises `Unavailable` or `Contended` from the error, or the driver's own error where that is ours to fix.

    The message names no detail: it may reach a partner, and the cause is in the log.
    """
    meaning = translate(error, driver)
    if meaning is error:
        raise error
    raise meaning from error


def translate(error: Exception, driver: asyncpg.Connection[Record] | None) -> Exception:
    """What the error means: `Unavailable`, `Contended`, or the driver's own error."""
    error = _drivers_own(error)
    if isinstance(error, _CONTENDED):
        return Contended()
    if isinstance(error, _OUT_OF_REACH):
        return Unavailable()
    if isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError) and driver is not None:
        # The driver says "interface error" both for a wrong argument and for a connection that is gone.
        return Unavailable() if driver.is_closed() else error
    return error


def _drivers_own(error: Exception) -> Exception:
    """SQLAlchemy wraps the driver's error twice, or once where it only connects; the innermost one has a meaning."""
    if isinstance(error, DBAPIError) and isinstance(error.orig, Exception):
        error = error.orig
    if isinstance(error, EmulatedDBAPIException) and isinstance(error.__cause__, Exception):
        return error.__cause__
    return error
