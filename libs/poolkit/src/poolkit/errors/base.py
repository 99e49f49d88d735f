"""What every expected failure has in common, and how it is rebuilt from what a batch item or an `ErrorInfo` carried."""

from collections.abc import Mapping
from typing import ClassVar

from poolkit.errors.catalogue import CATALOGUE, Reason


class DomainError(Exception):
    """A failure the product expects. Raise a subclass; everything else becomes a masked `internal`.

    `message` is the reason's sentence, then `detail` if given, then the remedy. Named details go to `metadata`, which
    callers see: never put there what a partner must not read.
    """

    reason: ClassVar[Reason]
    by_code: ClassVar[dict[str, type["DomainError"]]] = {}

    message: str
    metadata: dict[str, str]
    retry_after_seconds: int | None

    def __init_subclass__(cls, *, code: str = "", **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if code:
            cls.reason = CATALOGUE[code]
            DomainError.by_code[code] = cls

    def __init__(self, detail: str = "", *, retry_after_seconds: int | None = None, **metadata: str) -> None:
        reason = self.reason
        message = f"{reason.sentence} {detail} {reason.remedy}" if detail else reason.message
        self.describe(message, metadata, retry_after_seconds)

    def describe(self, message: str, metadata: dict[str, str], retry_after_seconds: int | None) -> None:
        """Set what callers see; for subclasses with words of their own, and for `error_for`."""
        if retry_after_seconds is None:
            retry_after_seconds = self.reason.retry_after_seconds
        self.message = message
        self.metadata = metadata
        self.retry_after_seconds = retry_after_seconds
        self.args = (message,)

    @property
    def code(self) -> str:
        """The stable, machine-readable reason: `quote_expired`."""
        return self.reason.code

    def __str__(self) -> str:
        return self.message

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.message!r})"

    def __reduce__(self) -> tuple[object, ...]:
        # Subclasses differ in their constructors, so copies and pickles are rebuilt from what all of them have.
        return error_for, (self.code, self.message, self.metadata, self.retry_after_seconds)


def error_for(
    code: str,
    message: str = "",
    metadata: Mapping[str, str] | None = None,
    retry_after_seconds: int | None = None,
) -> DomainError:
    """Rebuild the exception from what a batch item or an `ErrorInfo` (upper case) carried.

    A code this version does not know comes from a newer colleague: it becomes `Internal`, naming the code in metadata.
    """
    error_class = DomainError.by_code.get(code.lower())
    details = dict(metadata) if metadata else {}
    if error_class is None:
        error_class, message = DomainError.by_code["internal"], ""
        details["reason"] = code
    error = error_class.__new__(error_class)
    error.describe(message or error.reason.message, details, retry_after_seconds)
    return error
