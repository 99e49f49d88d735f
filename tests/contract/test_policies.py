"""Every RPC has a deadline and a decision whether it may be repeated, and clients reach every service."""

import importlib
import json
import pkgutil
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

import pools
from pools_contracts import gateway, ledger, quote, trade, webhook_ingest
from pools_contracts.policies import POLICIES, deadline_seconds, service_config

CONNECTS = [gateway.connect, quote.connect, trade.connect, webhook_ingest.connect, ledger.connect]


def services() -> Iterator[Any]:
    """The descriptor of every service in the contracts."""
    for module in pkgutil.walk_packages(pools.__path__, "pools."):
        if module.name.endswith("_pb2"):
            yield from importlib.import_module(module.name).DESCRIPTOR.services_by_name.values()


def test_every_rpc_is_decided_and_nothing_else() -> None:
    promised = {service.full_name: sorted(service.methods_by_name) for service in services()}
    decided = {name: sorted((*policy.repeatable, *policy.once)) for name, policy in POLICIES.items()}
    assert decided == promised


def test_an_rpc_that_says_it_is_not_idempotent_is_never_repeated() -> None:
    repeatable = {f"{name}/{method}" for name, policy in POLICIES.items() for method in policy.repeatable}
    assert repeatable.isdisjoint(
        {
            "pools.quote.v1.QuoteService/CreateQuotes",
            "pools.quote.v1.QuoteService/RejectQuotes",
            "pools.gateway.v1.PartnerService/CreateQuote",
            "pools.gateway.v1.PartnerService/RejectQuote",
            "pools.gateway.v1.AdminService/CreateOrganization",
            "pools.gateway.v1.AdminService/CreateKey",
            "pools.gateway.v1.AdminService/RotateKey",
            "pools.gateway.v1.AdminService/CreateWebhookEndpoint",
            "pools.gateway.v1.WebhookService/RotateWebhookSecret",
            "pools.webhook_ingest.v1.WebhookAdminService/CreateSource",
            "pools.webhook_ingest.v1.WebhookAdminService/RotateSource",
        }
    )


def test_only_unavailable_is_repeated_and_at_most_twice() -> None:
    methods = json.loads(service_config())["methodConfig"]
    policies = [method["retryPolicy"] for method in methods]
    assert {tuple(policy["retryableStatusCodes"]) for policy in policies} == {("UNAVAILABLE",)}
    assert {policy["maxAttempts"] for policy in policies} == {3}
    # A name without a method would stand for all of a service's methods.
    assert all(name["method"] for method in methods for name in method["name"])


def test_every_rpc_has_a_deadline() -> None:
    assert deadline_seconds("/pools.quote.v1.QuoteService/GetQuotes") == 2.0
    assert deadline_seconds("/grpc.health.v1.Health/Check") > 0


@pytest.mark.parametrize("connect", CONNECTS, ids=lambda connect: connect.__module__)
async def test_a_client_has_a_stub_for_each_method(connect: Any) -> None:
    async with connect("127.0.0.1:1", caller="tests") as client:
        stubs = {name: stub for name, stub in vars(client).items() if name != "channel"}
        assert isinstance(client.channel, grpc.aio.Channel)
        methods = sum(len(vars(stub)) for stub in stubs.values())
    assert methods > 0
    assert "journey" in stubs
