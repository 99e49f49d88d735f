"""Owns asking the health port of this container, for a platform that runs a command: `python -m poolkit.rpc.probe`."""

import os
import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from poolkit.settings import PREFIX

_SECONDS_MAX = 3.0
_ANY_ADDRESS = ("0.0.0.0", "[::]", "::")  # noqa: S104 - what is listened on, told apart from where to ask


def main() -> None:
    """Exits 0 when the service takes work, 1 when it does not or does not answer; `liveness` asks for that instead."""
    host, _, port = os.environ.get(f"{PREFIX}HEALTH_LISTEN", "").rpartition(":")
    if not port:
        print(f"{PREFIX}HEALTH_LISTEN is not set, so there is no port to ask.", file=sys.stderr)
        sys.exit(1)
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    with grpc.insecure_channel(f"{'127.0.0.1' if host in _ANY_ADDRESS else host}:{port}") as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(  # type: ignore[attr-defined]
                health_pb2.HealthCheckRequest(service=name), timeout=_SECONDS_MAX
            )
        except grpc.RpcError as error:
            print(f"The health port {port} does not answer: {error}", file=sys.stderr)
            sys.exit(1)
    sys.exit(0 if answer.status == health_pb2.HealthCheckResponse.SERVING else 1)


if __name__ == "__main__":
    main()
