"""Owns load on a running stack: whole journeys, as many at once as asked, and how long each step of them took."""
