"""Starts the quote service: `python -m quote`."""

from quote.main import run

run()
