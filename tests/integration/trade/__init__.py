"""The trade service on a real PostgreSQL."""
