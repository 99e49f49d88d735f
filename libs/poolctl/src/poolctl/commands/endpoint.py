"""Owns `poolctl endpoint`: where partners' webhooks go, whether they do, and the secrets that sign them."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from poolctl.commands import documents
from poolctl.commands.listing import every_row
from poolctl.commands.options import DEFAULT_DATA_DIR, DataDir, Json, print_json
from poolctl.commands.partner import Organization
from poolctl.screen import console, show_fields, table
from poolctl.session import Session, ask
from pools.gateway.v1 import webhooks_pb2

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Lists webhook endpoints, turns them off and on, rotates secrets; `poolctl partner endpoint` adds one."
    "\n\nExample: poolctl endpoint list org_01HZY0",
)
Endpoint = Annotated[str, typer.Argument(metavar="ENDPOINT", help="The endpoint, whk_….")]


@app.command("list")
def list_endpoints(organization: Organization, data_dir: DataDir = DEFAULT_DATA_DIR, as_json: Json = False) -> None:
    """Lists an organization's endpoints, oldest first: state, since when they fail, secrets in force.

    Example: poolctl endpoint list org_01HZY0
    """

    async def question(session: Session) -> list[documents.Document]:
        request = webhooks_pb2.ListWebhookEndpointsRequest(organization_id=organization)
        rows = await every_row(session.gateway.webhooks.ListWebhookEndpoints, request, "endpoints")
        return [documents.webhook_endpoint(row) for row in rows]

    rows = ask(data_dir, question)
    if as_json:
        print_json({"endpoints": rows})
        return
    shown = table("endpoint", "address", "state", "failing since", "secrets>")
    for row in rows:
        state = f"{row['state']} ({row['disabledReason']})" if row["disabledReason"] else row["state"]
        shown.add_row(row["endpointId"], row["url"], state, row["failingSince"] or "", str(row["activeSecrets"]))
    console().print(shown)


@app.command("disable")
def disable(endpoint: Endpoint, data_dir: DataDir = DEFAULT_DATA_DIR, as_json: Json = False) -> None:
    """Posts nothing more to an endpoint; its deliveries, new ones too, wait for five days until it is enabled.

    Example: poolctl endpoint disable whk_01HZY0
    """

    async def question(session: Session) -> Any:
        return await session.gateway.webhooks.DisableWebhookEndpoint(
            webhooks_pb2.DisableWebhookEndpointRequest(endpoint_id=endpoint)
        )

    _show(data_dir, question, as_json=as_json)


@app.command("enable")
def enable(endpoint: Endpoint, data_dir: DataDir = DEFAULT_DATA_DIR, as_json: Json = False) -> None:
    """Posts to an endpoint again, whatever disabled it, beginning with what has waited.

    Example: poolctl endpoint enable whk_01HZY0
    """

    async def question(session: Session) -> Any:
        return await session.gateway.webhooks.EnableWebhookEndpoint(
            webhooks_pb2.EnableWebhookEndpointRequest(endpoint_id=endpoint)
        )

    _show(data_dir, question, as_json=as_json)


@app.command("rotate")
def rotate(
    endpoint: Endpoint,
    overlap_seconds: Annotated[
        int, typer.Option(min=0, max=604_800, help="How long the secrets before it sign as well.")
    ] = 86_400,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Json = False,
) -> None:
    """Adds a new secret, shown this once; webhooks carry signatures of those before it too until the overlap is over.

    Example: poolctl endpoint rotate whk_01HZY0 --overlap-seconds 3600
    """
    request = webhooks_pb2.RotateWebhookSecretRequest(endpoint_id=endpoint, overlap_seconds=overlap_seconds)

    async def question(session: Session) -> documents.Document:
        made = await session.gateway.webhooks.RotateWebhookSecret(request)
        return {**documents.webhook_endpoint(made.endpoint), "secret": made.secret}

    document = ask(data_dir, question)
    if as_json:
        print_json(document)
        return
    show_fields(document)
    typer.echo("The secret is not shown again.", err=True)


def _show(data_dir: DataDir, question: Callable[[Session], Awaitable[Any]], *, as_json: bool) -> None:
    document = documents.webhook_endpoint(ask(data_dir, question).endpoint)
    if as_json:
        print_json(document)
    else:
        show_fields(document)
