"""`python -m webhook_ingest`."""

from webhook_ingest.main import run

run()
