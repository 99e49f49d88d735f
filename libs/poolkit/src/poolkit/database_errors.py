"""Owns what a failure of PostgreSQL means: out of reach, lost to others and worth another try, or a mistake of ours."""

from __future__ import annotations

import asyncpg
from asyncpg import Record
from sqlalchemy.exc import DBAPIError

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


def translate(error: Exception, driver: asyncpg.Connection[Record] | None) -> Exception:
    """The same error where it is ours to fix, else `Unavailable` or `Contended`; raise it `from` the original.

    The message names no detail: it may reach a partner, and the cause is in the log.
    """
    if isinstance(error, DBAPIError) and isinstance(error.orig, Exception):
        # SQLAlchemy wraps the driver's error twice; the innermost cause is the one that has a meaning.
        error = error.orig.__cause__ if isinstance(error.orig.__cause__, Exception) else error.orig
    if isinstance(error, _CONTENDED):
        return Contended()
    if isinstance(error, _OUT_OF_REACH):
        return Unavailable()
    if isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError) and driver is not None:
        # The driver says "interface error" both for a wrong argument and for a connection that is gone.
        return Unavailable() if driver.is_closed() else error
    return error
