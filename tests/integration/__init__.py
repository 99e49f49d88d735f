"""One part at a time on a real database or broker; our own code is never replaced by a stand-in."""
