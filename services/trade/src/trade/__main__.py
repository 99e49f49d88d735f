"""`python -m trade`."""

from trade.main import run

run()
