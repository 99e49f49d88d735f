"""The sandbox against the real broker, webhook-ingest, trade and quote: it knows only what a provider would."""
