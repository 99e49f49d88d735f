"""A list longer than a page is read to its end, once, in order."""

from poolctl.commands.listing import PAGE_SIZE, every_row
from pools.gateway.v1 import admin_pb2


async def test_every_row_is_read_page_by_page() -> None:
    keys = [admin_pb2.ApiKey(key_id=f"key_{number}") for number in range(2 * PAGE_SIZE + 1)]
    asked: list[str] = []

    async def list_keys(request: admin_pb2.ListKeysRequest) -> admin_pb2.ListKeysResponse:
        asked.append(request.page_token)
        begin = int(request.page_token or 0)
        end = begin + request.page_size
        return admin_pb2.ListKeysResponse(api_keys=keys[begin:end], next_page_token=str(end) if end < len(keys) else "")

    assert await every_row(list_keys, admin_pb2.ListKeysRequest(organization_id="org_1"), "api_keys") == keys
    assert asked == ["", str(PAGE_SIZE), str(2 * PAGE_SIZE)]
