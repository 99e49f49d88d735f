"""Support for replacing replicas under load: the fleet, the proxy before it, those who call it, and the audit."""

import pytest

# So that what they assert is told in full, as in a test.
pytest.register_assert_rewrite("tests.e2e.rolling.calling", "tests.e2e.rolling.reckoning")
