"""Measurements beside a floor, in one run; never a timed test."""
