"""What every service shares: money, ids, errors, settings, telemetry, rpc, database and messaging. No business rule."""
