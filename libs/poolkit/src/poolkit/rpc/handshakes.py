"""Why a colleague was not trusted, or did not trust us: what gRPC says of a TLS handshake, as a line of the log."""

from typing import Final

import structlog

from poolkit.rpc.repeats import Repeats

log = structlog.get_logger(__name__)

# In gRPC's words, and what it means; the first that is found tells.
_MEANINGS: Final = (
    ("certificate has expired", "Its certificate has expired: have it renewed."),
    ("certificate is not yet valid", "Its certificate is not valid yet: compare the clocks."),
    ("Hostname Verification Check failed", "Its certificate is for another name than the service's: issue it anew."),
    ("self signed certificate", "Its certificate is signed by itself, not by a CA of ours."),
    ("unable to get local issuer certificate", "Its certificate is not from a CA of ours."),
    ("WRONG_VERSION_NUMBER", "It does not speak TLS: it has no certificate set, or this is another port."),
    ("andshake failed", "The handshake failed."),
    (
        "Secure read failed",
        "It hung up when it had seen our certificate, as one does that refuses it; its log says why.",
    ),
)
_told = Repeats()


def tell_of_handshake(details: str) -> None:
    """Logs why no connection stands, if that is for want of trust; `details` are those of a call that failed."""
    for words, meaning in _MEANINGS:
        if words in details:
            if _told.is_news(details):
                log.warning("colleague_not_trusted", why=meaning, details=details)
            return
