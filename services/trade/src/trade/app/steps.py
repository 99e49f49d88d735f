"""Names each boundary between two steps of the saga, so that tests can kill the process at every one of them."""

from typing import Final

from poolkit.crashpoints import declare

AFTER_INTENT: Final = declare("trade.after_intent", "an intent, nothing consumed")
AFTER_CONSUME: Final = declare("trade.after_consume", "a consumed quote, no hold or one nobody knows of yet")
AFTER_HOLD: Final = declare("trade.after_hold", "a consumed quote and a hold, no trade")
AFTER_RESERVE: Final = declare("trade.after_reserve", "a reserved trade nobody was told of")
AFTER_DECLINING: Final = declare("trade.after_declining", "the decision to undo, nothing undone")
AFTER_GIVE_BACK: Final = declare("trade.after_give_back", "the quote given back, the hold not voided")
AFTER_VOID: Final = declare("trade.after_void", "everything undone, the intent still declining")
AFTER_DECLINED: Final = declare("trade.after_declined", "a declined intent nobody was told of")
AFTER_REPORT: Final = declare("trade.after_report", "an applied settlement report nobody was told of")
