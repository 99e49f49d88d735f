"""The ways out: what app declares as Protocols, fulfilled by other services and by events."""
