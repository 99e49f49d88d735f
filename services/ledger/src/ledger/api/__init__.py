"""The ways in: translate and delegate, decide nothing."""
