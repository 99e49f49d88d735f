"""The quote service's rules: prices, orders, quotes, inventory; pure and quick."""
