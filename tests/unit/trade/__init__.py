"""The rules of the trade service: what moves a trade, what a repeat is told, what a cap allows."""
