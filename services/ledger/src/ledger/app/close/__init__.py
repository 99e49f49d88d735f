"""Use cases of the daily close: waiting for the cut, comparing, storing, telling the trades, and doing so every day."""
