"""Each workload of the manifests, rendered when a test asks for it."""

import pytest

from tests.integration.deploy.rendered import Workload, workload_at


@pytest.fixture
def workload(request: pytest.FixtureRequest) -> Workload:
    """The one whose place the test is parametrized with."""
    return workload_at(str(request.param))
