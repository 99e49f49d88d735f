"""Owns the failures a command may end with: a sentence for a person, on stderr, and exit status 1."""


class CommandFailure(Exception):
    """What could not be done and why, and if known the request id that on-call can search for."""

    def __init__(self, message: str, *, request_id: str | None = None) -> None:
        super().__init__(message)
        self.request_id = request_id
