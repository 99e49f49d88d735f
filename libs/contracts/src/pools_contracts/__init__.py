"""How another program reaches the services: addresses, deadlines, keepalive and retries over the generated stubs."""
