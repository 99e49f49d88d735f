"""Owns how long a page of a list may be."""

from typing import Final

PAGE_SIZE_MAX: Final = 1_000
