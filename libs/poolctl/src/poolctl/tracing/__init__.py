"""Owns the telling of a request from its spans: which belong to it, how they hang together, how that is drawn."""
