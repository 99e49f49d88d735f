"""Webhook-ingest on a real database, its HTTP door open, with the real trade and ledger services behind it."""
