"""Holds, entries and chains: money as a function of the events."""
