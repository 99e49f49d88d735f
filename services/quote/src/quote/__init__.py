"""Pools, rates, inventory and quotes."""
