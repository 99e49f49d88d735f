"""The simulated world behind a test stack: settlement provider, bank, treasury and rate feed, each as real ones are."""
