"""The quote service on a real PostgreSQL: every promise about quotes and inventory, raced and repeated."""
