"""The transact saga, the trade lifecycle and the events that tell of it."""
