"""Owns the dev stack: the processes a person needs on one machine, and how they start, end and come back."""
