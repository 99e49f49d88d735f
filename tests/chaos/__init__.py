"""Processes killed at the worst moment: what was promised before must hold after."""
