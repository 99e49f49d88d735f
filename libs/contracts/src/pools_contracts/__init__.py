"""The contracts of 0Pools for callers: `connect()` in one module per service, over the stubs in `pools`."""
