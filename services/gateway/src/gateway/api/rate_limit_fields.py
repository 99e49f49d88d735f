"""The RateLimit-Policy and RateLimit fields of answers, as draft-ietf-httpapi-ratelimit-headers-11 (May 2026) has them.

`RateLimit-Policy: "key";q=1000;w=2, "organization";q=2000;w=2` names the quotas in requests and their windows in
seconds; `RateLimit: "key";r=999;t=1, "organization";r=1999;t=1` says that no more than `r` calls may follow within `t`.
A refusal names the one policy that is used up, with the `t` that is its `Retry-After`.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.app.rate_limits import Policy, Standing


class RateLimitFields:
    """Writes the fields for either edge."""

    def __init__(self, policies: Sequence[Policy]) -> None:
        self._policy = ", ".join(f'"{policy.name}";q={policy.quota};w={policy.window_seconds}' for policy in policies)
        self._policy_header = (b"ratelimit-policy", self._policy.encode())

    def headers(self, standing: Standing | None) -> tuple[tuple[bytes, bytes], ...]:
        """As HTTP headers; none at all for a call that was refused before it was counted."""
        if standing is None:
            return ()
        return self._policy_header, (b"ratelimit", _left(standing).encode())

    def metadata(self, standing: Standing) -> tuple[tuple[str, str], ...]:
        """The same as gRPC metadata, with `retry-after` where the call was refused."""
        fields = (("ratelimit-policy", self._policy), ("ratelimit", _left(standing)))
        if not standing.retry_after_seconds:
            return fields
        return (*fields, ("retry-after", str(standing.retry_after_seconds)))


def _left(standing: Standing) -> str:
    return ", ".join([f'"{left.policy}";r={left.calls};t={left.seconds}' for left in standing.left])
