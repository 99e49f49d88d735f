"""Every reason explained to people, from the catalogue alone. Run as a program it prints docs/errors.md."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from poolkit.errors import CATALOGUE, DOCUMENTATION_URL, QUOTE_UNAVAILABLE_REASONS, Reason, error_for
from poolkit.http.errors import error_body

TITLE: Final = "Errors"
INTRODUCTION: Final = (
    "Every error has this shape over HTTP. Over gRPC the same reason is a `google.rpc.ErrorInfo` of domain `pools`, "
    "with its code in capitals. Branch on `code`, and expect codes that are not listed yet."
)
EXAMPLE_REQUEST_ID: Final = "req_01M82JAJB8K7Q2M5RJ8T4W3X9E"


@dataclass(frozen=True, slots=True)
class Explanation:
    """One reason for its readers."""

    reason: Reason
    documentation_url: str = DOCUMENTATION_URL

    @property
    def retry(self) -> str:
        """Whether to send it again."""
        seconds = self.reason.retry_after_seconds
        if seconds is not None:
            return f"yes: after `Retry-After`, {seconds} s unless it says more"
        return "yes: after a moment" if self.reason.may_be_retried else "no: the same request is refused again"

    @property
    def facts(self) -> dict[str, str]:
        """What machines and people ask first, by name."""
        return {
            "HTTP status": str(self.reason.http_status),
            "Type": f"`{self.reason.type}`",
            "gRPC": f"`{self.reason.grpc_code}`, `{self.reason.error_info_reason}`",
            "Retry": self.retry,
        }

    @property
    def example(self) -> str:
        """An answer's body."""
        return json.dumps(error_body(error_for(self.reason.code), EXAMPLE_REQUEST_ID, self.documentation_url), indent=2)


def explanations(documentation_url: str = DOCUMENTATION_URL) -> Iterator[Explanation]:
    """One for each reason, in the catalogue's order."""
    return (Explanation(reason, documentation_url) for reason in CATALOGUE.values())


def markdown() -> str:
    """The whole page. Each reason's heading is its code, so that `#code` leads to it."""
    lines = ["<!-- Made by `make docs` from the catalogue of reasons; change that instead. -->", f"# {TITLE}", ""]
    lines += [INTRODUCTION, ""]
    for one in explanations():
        reason = one.reason
        lines += [f"## {reason.code}", "", reason.sentence, "", f"**What to do.** {reason.remedy}", ""]
        lines += ["| | |", "|---|---|", *(f"| {name} | {text} |" for name, text in one.facts.items()), ""]
        lines += ["```json", one.example, "```", ""]
    lines += ["## Not errors", "", "A quote that cannot be given now answers 200 with `available: false` and why:", ""]
    lines += [f"- `{reason}`: {sentence}" for reason, sentence in QUOTE_UNAVAILABLE_REASONS.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(markdown(), end="")
