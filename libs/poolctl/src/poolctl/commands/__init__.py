"""Owns the commands of `poolctl`, one module each; a module is imported when its command is called."""
