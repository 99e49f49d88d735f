"""The gateway on a real database and broker, with the real services behind it."""
