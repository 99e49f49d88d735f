"""`python -m ledger`."""

from ledger.main import run

run()
