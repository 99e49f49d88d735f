"""A program that behaves as a service of the stack does, so that the supervisor can be tested without one."""

import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import HealthServicer


def main() -> None:
    """`serve` answers health checks until SIGTERM; `migrate` does nothing; FAKE_REFUSES makes one of them fail."""
    if os.environ.get("FAKE_REFUSES") == sys.argv[1]:
        sys.exit("the moon is in the wrong phase")
    if sys.argv[1] == "migrate":
        return
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: told.set())
    health = HealthServicer()
    health.set("", health_pb2.HealthCheckResponse.SERVING)
    server = grpc.server(ThreadPoolExecutor(max_workers=2))
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    server.add_insecure_port(os.environ["POOLS_HEALTH_LISTEN"])
    server.start()
    print("serving", flush=True)
    told.wait()
    server.stop(None).wait()


if __name__ == "__main__":
    main()
