"""Two revisions of every service side by side, in every combination, under load: a tool, not tests."""
