"""HTTP as services speak it: a server inside the service's own loop, and errors as bodies."""
