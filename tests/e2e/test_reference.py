"""The running stack against its own OpenAPI document: whatever is sent, only what is written there comes back."""

import asyncio
import sys
from pathlib import Path

import pytest

from poolctl.session import Session
from pools.gateway.v1 import admin_pb2
from tests.e2e.partners import Partner

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
OPERATIONS = 12


@pytest.fixture
async def unhindered(partner: Partner, session: Session) -> Partner:
    """A partner that may sell too, so that no operation is closed to it."""
    await session.gateway.admin.UpdateEntitlement(
        admin_pb2.UpdateEntitlementRequest(organization_id=partner.organization_id, off_ramp_enabled=True)
    )
    return partner


async def run_schemathesis(partner: Partner, directory: Path, *options: str) -> tuple[int, str]:
    """Every check there is, in every phase; the exit status, and what it printed. Its leavings stay in `directory`."""
    rest = str(partner.rest.http.base_url).rstrip("/")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION), "run"),
        *(f"{rest}/openapi.json", "--checks", "all", "-H", f"Authorization: Bearer {partner.secret_key}", *options),
        cwd=directory, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_no_request_is_answered_otherwise_than_the_document_says(unhindered: Partner, tmp_path: Path) -> None:
    status, output = await run_schemathesis(unhindered, tmp_path, "--max-examples", "4", "--seed", "1")
    assert status == 0, output
    assert f"Tested: {OPERATIONS}" in output, output


@pytest.mark.long
@pytest.mark.parametrize("seed", [2, 3])
async def test_nor_are_thousands_of_requests(unhindered: Partner, tmp_path: Path, seed: int) -> None:
    status, output = await run_schemathesis(unhindered, tmp_path, "--max-examples", "300", "--seed", str(seed))
    assert status == 0, output
