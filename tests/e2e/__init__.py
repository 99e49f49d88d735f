"""Five processes, a database and a broker, seen from outside as a partner, a provider or a finance team sees them."""
