"""What every service shares, proven once."""
