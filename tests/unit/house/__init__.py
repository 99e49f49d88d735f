"""The house itself: its layout, its requirement files, what each distribution and each domain may import."""
