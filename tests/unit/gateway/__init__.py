"""The gateway's rules and edges, without a database or a colleague."""
