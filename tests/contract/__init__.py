"""What the protos and schemas promise to other teams, read from their descriptors."""
