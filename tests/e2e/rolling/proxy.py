"""HAProxy before the HTTP ports of a fleet, as a platform team would have it: it asks each replica if it is ready."""

import asyncio
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from poolctl.stack.ports import free_port
from poolkit.errors import Unavailable
from poolkit.http.errors import error_body
from tests.waiting import eventually

MISSING = "HAProxy is not installed here; Debian's package `haproxy` has it"

# A connection that could not be made is tried at another replica, which is HAProxy's default and safe for every
# request; what was sent once is never sent again.
_HEAD = """
global
  log stdout format raw local0
  maxconn 4000
defaults
  mode http
  log global
  option httplog
  option redispatch 1
  retries 2
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  timeout check 1s
  option httpchk GET /ready
  http-check expect ! status 503
  default-server check inter 100ms fall 1 rise 1
"""
_SIDE = """
frontend {name}
  bind 127.0.0.1:{port}
  http-request set-header x-request-id %[uuid()] unless {{ req.hdr(x-request-id) -m found }}
  http-request set-var(txn.request_id) req.hdr(x-request-id)
  default_backend {name}
backend {name}
  balance roundrobin
  http-error status 503 content-type application/json lf-file {body} hdr x-request-id %[var(txn.request_id)]
"""


def find_haproxy() -> str | None:
    """Where the program is; None where it is missing."""
    return shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")


class Proxy:
    """One port for each of `names` (`gateway`, `webhook-ingest`), the same over all its life."""

    def __init__(self, directory: Path, names: Sequence[str]) -> None:
        self._directory = directory
        self._ports: dict[str, int] = {}
        for name in names:
            self._ports[name] = free_port(self._ports.values())
        self._process: asyncio.subprocess.Process | None = None
        self.log = directory / "haproxy.log"

    def url(self, name: str) -> str:
        """Where it is reached."""
        return f"http://127.0.0.1:{self._ports[name]}"

    async def start(self, replicas: Mapping[str, Sequence[str]]) -> None:
        """Begins to pass requests on to the replicas' addresses; returns when some replica of each takes them."""
        program = find_haproxy()
        assert program is not None, MISSING
        body = self._directory / "unavailable.json"
        body.write_text(json.dumps(error_body(Unavailable(), "%[var(txn.request_id)]")))
        lines = [_HEAD]
        for name, port in self._ports.items():
            lines.append(_SIDE.format(name=name, port=port, body=body))
            lines += [f"  server replica{number} {address}\n" for number, address in enumerate(replicas[name])]
        configuration = self._directory / "haproxy.cfg"
        configuration.write_text("".join(lines))
        with self.log.open("wb") as output:
            command = (program, "-db", "-f", configuration)
            self._process = await asyncio.create_subprocess_exec(*command, stdout=output, stderr=output)

        async def passes_on() -> bool:
            assert self._process is not None
            assert self._process.returncode is None, self.log.read_text()
            async with httpx.AsyncClient(trust_env=False) as http:
                try:
                    answers = [await http.get(f"{self.url(name)}/ready") for name in self._ports]
                except httpx.TransportError:
                    return False
            return all(answer.status_code == 200 for answer in answers)

        await eventually(passes_on, "the proxy passes requests on", seconds=30)

    async def stop(self) -> None:
        """Ends it."""
        if self._process is not None:
            self._process.terminate()
            await self._process.wait()
