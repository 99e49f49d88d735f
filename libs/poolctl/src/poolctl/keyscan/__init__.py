"""Owns the search for leaked secret keys: offline, in whatever a company ships or keeps."""
