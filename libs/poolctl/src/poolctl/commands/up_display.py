"""Owns what a person sees while a stack starts and runs: words on stderr, the answer on stdout."""

import sys
from typing import Any

from poolctl.commands.options import print_json


class Display:
    """Progress line by line, so that it reads the same on a terminal, in a file and in a pipe."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def say(self, part: str, words: str) -> None:
        sys.stderr.write(f"{part:<15} {words}\n")
        sys.stderr.flush()

    def addresses(self, addresses: dict[str, Any]) -> None:
        """Passwords are shown with --json only, which is what programs read."""
        if self._as_json:
            print_json(addresses)
            return
        rows = {
            "partner REST": addresses["rest"],
            "partner gRPC": addresses["grpc"],
            "webhooks in": addresses["webhooks"],
            **{f"{name} gRPC": address for name, address in addresses["services"].items()},
            "kafka": addresses["kafka"],
            **({"traces": addresses["zipkin"]} if "zipkin" in addresses else {}),
            "data": addresses["dataDir"],
        }
        print("\n".join(f"{name:<20} {value}" for name, value in rows.items()), flush=True)
