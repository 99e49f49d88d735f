"""The command line: dev stack, sandbox provider and bank, provisioning, journey and load."""
