"""Lets `python -m poolctl` be `poolctl`."""

from poolctl.cli import main

main()
