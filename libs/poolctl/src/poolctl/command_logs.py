"""Owns where the logs of what a command uses go: to stderr, and only what is worth a person's while."""

import logging
import sys


def log_to_stderr() -> None:
    """Standard output holds a command's answer and nothing else. Imported late, as few commands log anything."""
    import structlog

    structlog.configure(
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
    )
