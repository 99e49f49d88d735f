"""The ledger on a real database, and its consumer on a real broker."""
