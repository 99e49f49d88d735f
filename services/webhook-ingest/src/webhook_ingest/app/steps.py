"""Names each boundary between two steps of a webhook's way, so that tests can kill the process at every one of them."""

from typing import Final

from poolkit.crashpoints import declare

AFTER_STORE: Final = declare("webhook_ingest.after_store", "a stored webhook that nobody has answered or processed")
AFTER_REPORT: Final = declare("webhook_ingest.after_report", "a settlement applied by trade, its webhook unprocessed")
AFTER_LOOK_UP: Final = declare("webhook_ingest.after_look_up", "a pay-in whose organization is known, not yet told")
AFTER_CREDIT: Final = declare("webhook_ingest.after_credit", "a pay-in told in the outbox, not yet sent")
