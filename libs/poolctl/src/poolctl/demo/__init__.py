"""Owns `poolctl demo`: one trade from a partner's first key to the ledger, told step by step with times."""
