"""The rules of webhook-ingest, without a door, a database or a colleague."""
