"""Support for replacing replicas under load: the fleet, the proxy before it, those who call it, and the audit."""
