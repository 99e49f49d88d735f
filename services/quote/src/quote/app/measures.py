"""What this service counts. Source: contract section 10."""

from typing import Final

from prometheus_client import Counter

QUOTES: Final = Counter(
    "pools_quotes", "Answers to orders, by how binding and what came of them", ["pool", "type", "outcome"]
)
QUOTES_EXPIRED: Final = Counter("pools_quotes_expired", "Firm quotes that ran out unused")
CONSUMPTIONS: Final = Counter("pools_quote_consumptions", "First answers to trade ids, by outcome", ["outcome"])
GIVEN_BACK: Final = Counter("pools_quotes_given_back", "Consumptions undone")
TERMINAL_EVENTS: Final = Counter(
    "pools_quote_terminal_events", "Terminal events applied to inventory, by the trade's status", ["status"]
)
RATES_IGNORED: Final = Counter("pools_rates_ignored", "Published rates that were not newer, unknown or of the future")
