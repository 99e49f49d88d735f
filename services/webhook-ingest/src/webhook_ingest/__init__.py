"""Signed reports from settlement providers and banks: verified, kept, processed once."""
