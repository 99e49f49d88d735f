"""The running stack against its own OpenAPI document: whatever is sent, only what is written there comes back."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from poolctl.session import Addresses, Session
from pools.gateway.v1 import admin_pb2
from tests.e2e.partners import Partner, PartnerFactory

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
OPERATIONS = 12


@pytest.fixture
async def unhindered(partner: Partner, session: Session) -> Partner:
    """A partner that may sell too, so that no operation is closed to it."""
    await session.gateway.admin.UpdateEntitlement(
        admin_pb2.UpdateEntitlementRequest(
            organization_id=partner.organization_id,
            off_ramp_enabled=True,
            pools=admin_pb2.PoolList(pool_ids=["EUR-USDC", "EUR-USDT", "GBP-USDT"]),
        )
    )
    return partner


@pytest.fixture
async def stranger(partners: PartnerFactory) -> Partner:
    """Another partner, who must be shown nothing of the first one's: not even a pool is theirs both."""
    return await partners(paid_in="0", pools=("USD-USDT",), endpoint=False)


async def run_schemathesis(
    partner: Partner, stranger: Partner, directory: Path, *, examples_max: int, seed: int
) -> tuple[int, str]:
    """Every check there is, in every phase: the exit status, and what it printed. Its leavings stay in `directory`."""
    users = [
        {"name": name, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {one.secret_key}"}]}
        for name, one in (("partner", partner), ("stranger", stranger))
    ]
    (directory / "users.json").write_text(json.dumps({"auth": users}), encoding="utf-8")
    (directory / "schemathesis.toml").write_text(CONFIGURATION.read_text(encoding="utf-8"), encoding="utf-8")
    rest = str(partner.rest.http.base_url).rstrip("/")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{rest}/openapi.json", "--checks", "all"),
        *("--max-examples", str(examples_max), "--seed", str(seed)),
        cwd=directory, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_no_request_is_answered_otherwise_than_the_document_says(
    unhindered: Partner, stranger: Partner, tmp_path: Path
) -> None:
    status, output = await run_schemathesis(unhindered, stranger, tmp_path, examples_max=4, seed=1)
    assert status == 0, output
    assert f"Tested: {OPERATIONS}" in output, output
    assert "will not run" not in output, output


async def test_every_doors_errors_lead_to_their_explanation(partner: Partner, addresses: Addresses) -> None:
    http = partner.rest.http
    for url in ("/v1/pools/ledger?currency=XXX", f"{addresses.webhooks}/nowhere"):
        refused = (await http.get(url)).json()
        explained = await http.get(refused["doc_url"])
        assert explained.status_code == 200
        assert f'<h2 id="{refused["code"]}">' in explained.text


@pytest.mark.long
@pytest.mark.parametrize("seed", [2, 3])
async def test_nor_are_thousands_of_requests(unhindered: Partner, stranger: Partner, tmp_path: Path, seed: int) -> None:
    status, output = await run_schemathesis(unhindered, stranger, tmp_path, examples_max=300, seed=seed)
    assert status == 0, output


@pytest.mark.long
async def test_one_partners_objects_shown_to_another_would_be_noticed(unhindered: Partner, tmp_path: Path) -> None:
    status, output = await run_schemathesis(unhindered, unhindered, tmp_path, examples_max=4, seed=1)
    assert status == 1, output
    assert "Object-level authorization bypass" in output, output
