"""Owns the kinds of exceptions a close knows, and what a person does next about each.

Source: contract section 8; docs/runbooks/exceptions.md explains each kind under its name.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

RUNBOOK: Final = "docs/runbooks/exceptions.md"


class Kind(StrEnum):
    """What can be wrong."""

    TERMINAL_TRADE_WITHOUT_POSTING = "terminal_trade_without_posting"
    POSTING_WITHOUT_TERMINAL_TRADE = "posting_without_terminal_trade"
    AMOUNT_MISMATCH = "amount_mismatch"
    HOLD_OPEN_ON_TERMINAL_TRADE = "hold_open_on_terminal_trade"
    RESERVED_TOO_LONG = "reserved_too_long"
    EVENT_NOT_PROCESSED = "event_not_processed"
    EVENT_ID_REUSED = "event_id_reused"
    RETURNED_WITHOUT_SETTLED = "returned_without_settled"
    SETTLED_WITHOUT_HOLD = "settled_without_hold"
    PAYIN_WITHOUT_KNOWN_REFERENCE = "payin_without_known_reference"
    NEGATIVE_PARTNER_BALANCE = "negative_partner_balance"
    INVENTORY_DIFFERENCE = "inventory_difference"
    CHAIN_HEAD_NOT_VERIFIED = "chain_head_not_verified"

    @property
    def runbook(self) -> str:
        """Where it is explained."""
        return f"{RUNBOOK}#{self}"

    @property
    def next_step(self) -> str:
        """What a person does first, in one sentence."""
        return NEXT_STEPS[self]


NEXT_STEPS: Final[Mapping[Kind, str]] = MappingProxyType(
    {
        Kind.TERMINAL_TRADE_WITHOUT_POSTING: "Look with `poolctl journey` whether trade has published the event; if "
        "the ledger gave it up, replay it with `poolctl dlq replay`, then run the close again.",
        Kind.POSTING_WITHOUT_TERMINAL_TRADE: "Ask the owner what became of the trade or pay-in with `poolctl journey`, "
        "and prove the ledger's part with `poolctl ledger rebuild --against-owners`.",
        Kind.AMOUNT_MISMATCH: "Ask the provider what it delivered, with the network's transaction as proof, and decide "
        "with treasury who bears the difference.",
        Kind.HOLD_OPEN_ON_TERMINAL_TRADE: "Find out with `poolctl journey` whether the ledger has the terminal event; "
        "once it is applied the hold ends by itself.",
        Kind.RESERVED_TOO_LONG: "Ask the settlement provider; where it says that nothing was delivered, release the "
        "trade with `poolctl trade resolve`.",
        Kind.EVENT_NOT_PROCESSED: "Read why in `poolctl journey`, mend the cause, and replay what was dead-lettered "
        "with `poolctl dlq replay`.",
        Kind.EVENT_ID_REUSED: "Ask the sender which of the two is true; the first one has taken effect, the other "
        "never will.",
        Kind.RETURNED_WITHOUT_SETTLED: "Ask the provider whether it settled at all; the return takes effect as soon as "
        "its settled report comes.",
        Kind.SETTLED_WITHOUT_HOLD: "Check the partner's balance, and find out with `poolctl journey` why no hold was "
        "there when the trade settled.",
        Kind.PAYIN_WITHOUT_KNOWN_REFERENCE: "Find out from the bank whose money it is and allocate it with "
        "`poolctl payin allocate`.",
        Kind.NEGATIVE_PARTNER_BALANCE: "Ask the partner to pay in, and suspend it with `poolctl partner entitle` where "
        "it must not trade until then.",
        Kind.INVENTORY_DIFFERENCE: "Compare the movements of the date on both sides; a difference that is gone in the "
        "next revision was an event under way.",
        Kind.CHAIN_HEAD_NOT_VERIFIED: "Treat it as tampering: keep the database as it is, and run "
        "`poolctl ledger verify`, which names the first bad row.",
    }
)
