"""Use cases: one transaction each, over batches."""
