"""The proofs: each folder starts more of the system than the one before it."""
