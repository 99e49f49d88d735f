"""The simulated world behind a test stack: settlement provider, treasury and rate feed, talking as real ones would."""
