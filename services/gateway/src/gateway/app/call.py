"""One partner call from arrival to answer: what it brought, whom it is for, and what the request log says of it."""

import time

from msgspec import Struct, field

from gateway.app.rate_limits import Standing
from gateway.domain.entitlement import Entitlement, Principal
from poolkit.context import CallContext
from poolkit.ids import is_request_id


class Call(Struct):
    """Filled as the call goes on; a row of the request log when it ends, refused or not."""

    operation: str
    """The operation's name; empty where no operation has this path and method."""
    edge: str
    """`rest` or `grpc`."""
    request_id: str
    traceparent: str
    mode: str
    idempotency_key: str = ""
    deadline: float = 0.0
    """Unix seconds at which the caller is answered, come what may."""
    principal: Principal | None = None
    standing: Standing | None = None
    """What its rate limits leave; None until they were asked."""
    quote_id: str = ""
    trade_id: str = ""
    client_reference: str = ""
    replayed: bool = False
    outcome: str = ""
    """`ok`, or the reason's code."""
    http_status: int = 0
    """The status over REST, and the one the same reason has there over gRPC."""
    started: float = field(default_factory=time.perf_counter)
    ended: float = 0.0

    @property
    def entitlement(self) -> Entitlement:
        """What the organization may do; only behind the gates, which nobody passes without one."""
        if self.principal is None or self.principal.entitlement is None:
            raise LookupError("an operation was reached without passing the gates")
        return self.principal.entitlement

    @property
    def context(self) -> CallContext:
        """What goes with the call to other services."""
        return CallContext(
            self.request_id, self.entitlement.organization_id, self.mode, self.traceparent, self.deadline
        )


def is_id(text: str) -> bool:
    """Whether this could be an id of ours at all; what could not is absent, and asked of nobody."""
    return len(text) <= 64 and is_request_id(text)
