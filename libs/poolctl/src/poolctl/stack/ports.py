"""Owns the ports of a stack: free ones on loopback, chosen once and remembered in its data directory."""

import json
import random
import socket
from collections.abc import Iterable
from pathlib import Path

# Below the range from which systems draw the ports of outgoing connections: there, while a part is down, any client on
# the machine could be handed its port.
_FIRST, _LAST = 18_000, 31_999


def is_free(port: int) -> bool:
    """Whether a server could listen on 127.0.0.1:`port` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: connections that have ended but linger are no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_port(besides: Iterable[int] = ()) -> int:
    taken = set(besides)
    for port in random.sample(range(_FIRST, _LAST), k=2_000):
        if port not in taken and is_free(port):
            return port
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Ports:
    """The remembered ports of one stack, by purpose (`postgres`, `gateway.grpc`, …)."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._ports: dict[str, int] = {}
        try:
            content = json.loads(file.read_text())
            self._ports = {str(name): int(port) for name, port in content.items()}
        except (OSError, ValueError, AttributeError):
            # No file yet, or one cut short: ports are chosen again, which harms nobody.
            self._ports = {}

    def __getitem__(self, purpose: str) -> int:
        return self._ports[purpose]

    def choose(self, purposes: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Makes sure each purpose has a port that is free now; answers those that had to change, with old and new."""
        changed: dict[str, tuple[int, int]] = {}
        for purpose in purposes:
            port = self._ports.get(purpose)
            if port is not None and is_free(port):
                continue
            self._ports[purpose] = free_port(self._ports.values())
            if port is not None:
                changed[purpose] = (port, self._ports[purpose])
        self._write()
        return changed

    def _write(self) -> None:
        partial = self._file.with_suffix(".partial")
        partial.write_text(json.dumps(self._ports, indent=1, sort_keys=True))
        partial.replace(self._file)
