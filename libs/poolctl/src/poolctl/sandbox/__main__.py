"""`python -m poolctl.sandbox`."""

from poolctl.sandbox.main import run

run()
