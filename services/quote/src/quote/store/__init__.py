"""This service's tables and its SQL; nobody else touches them."""
