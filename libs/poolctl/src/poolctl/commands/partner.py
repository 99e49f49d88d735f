"""Owns `poolctl partner`: organizations, what they may do, and where their webhooks go."""

from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from poolctl.commands import documents
from poolctl.commands.options import DEFAULT_DATA_DIR, DataDir, Json, print_json
from poolctl.screen import show_fields
from poolctl.session import Session, ask
from pools.gateway.v1 import admin_pb2
from pools.types.v1 import types_pb2

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help='Makes partners, and decides what they may do.\n\nExample: poolctl partner create --name "Acme Wallet"',
)
Organization = Annotated[str, typer.Argument(metavar="ORG", help="The organization, org_….")]


class SwitchCommand(TyperCommand):
    """Takes `--switch on`, `--switch off` and, as people write it, `--switch` alone for on."""

    SWITCHES = ("--off-ramp", "--balance-gate")

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        whole: list[str] = []
        for index, word in enumerate(args):
            whole.append(word)
            following = args[index + 1] if index + 1 < len(args) else ""
            if word in self.SWITCHES and following not in ("on", "off", "true", "false"):
                whole.append("on")
        return super().parse_args(ctx, whole)


@app.command("create")
def create(
    name: Annotated[str, typer.Option(metavar="N", help="For people, up to 128 characters.")],
    pools: Annotated[str, typer.Option(metavar="P,…", help="Pools it may use; all unless named.")] = "",
    tier: Annotated[str, typer.Option(help="Sets spread, fee and limits; `standard` unless named.")] = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Json = False,
) -> None:
    """Makes an organization that may trade at once, and its keys, which are shown this once.

    Example: poolctl partner create --name "Acme Wallet" --pools EUR-USDT,EUR-USDC
    """
    request = admin_pb2.CreateOrganizationRequest(name=name, pool_ids=split(pools), tier=tier)

    async def question(session: Session) -> admin_pb2.CreateOrganizationResponse:
        made: admin_pb2.CreateOrganizationResponse = await session.gateway.admin.CreateOrganization(request)
        return made

    made = ask(data_dir, question)
    document = {
        "organizationId": made.organization_id,
        "publishableKey": made.publishable_key,
        "secretKey": made.secret_key,
        "fundingReferences": dict(sorted(made.funding_references.items())),
    }
    if as_json:
        print_json(document)
        return
    show_fields(document)
    typer.echo("The keys are not shown again; only their hashes are kept.", err=True)


@app.command("show")
def show(organization: Organization, data_dir: DataDir = DEFAULT_DATA_DIR, as_json: Json = False) -> None:
    """Shows what an organization may do.

    Example: poolctl partner show org_01HZY0
    """
    request = admin_pb2.GetEntitlementRequest(organization_id=organization)

    async def question(session: Session) -> documents.Document:
        return documents.entitlement((await session.gateway.admin.GetEntitlement(request)).entitlement)

    row = ask(data_dir, question)
    if as_json:
        print_json(row)
    else:
        show_fields(row)


@app.command("entitle", cls=SwitchCommand)
def entitle(
    organization: Organization,
    status: Annotated[str | None, typer.Option(metavar="active|suspended", help="Whether its calls pass.")] = None,
    kyc: Annotated[str | None, typer.Option(metavar="approved|pending|revoked", help="Where its KYC stands.")] = None,
    tier: Annotated[str | None, typer.Option(help="Sets spread, fee and limits.")] = None,
    pools: Annotated[str | None, typer.Option(metavar="P,…", help="Pools it may use; empty for none.")] = None,
    off_ramp: Annotated[str | None, typer.Option(metavar="on|off", help="Whether it may sell.")] = None,
    balance_gate: Annotated[
        str | None, typer.Option(metavar="on|off", help="Whether a transact is refused for want of balance.")
    ] = None,
    notional_cap: Annotated[
        list[str] | None,
        typer.Option(metavar="EUR=10000.00", help="Rolling 24 h cap; 0 takes it away. May be repeated."),
    ] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Json = False,
) -> None:
    """Changes what an organization may do; what is not named stays. Every replica knows within 2 s.

    Example: poolctl partner entitle org_01HZY0 --off-ramp on --notional-cap EUR=10000.00
    """
    request = admin_pb2.UpdateEntitlementRequest(
        organization_id=organization,
        status=chosen("--status", status, {"active": 1, "suspended": 2}),
        kyc_status=chosen("--kyc", kyc, {"approved": 1, "pending": 2, "revoked": 3}),
        tier=tier,
        pools=None if pools is None else admin_pb2.PoolList(pool_ids=split(pools)),
        off_ramp_enabled=switch("--off-ramp", off_ramp),
        balance_gate_enabled=switch("--balance-gate", balance_gate),
        notional_caps=[cap_of(text) for text in notional_cap or ()],
    )

    async def question(session: Session) -> documents.Document:
        return documents.entitlement((await session.gateway.admin.UpdateEntitlement(request)).entitlement)

    row = ask(data_dir, question)
    if as_json:
        print_json(row)
    else:
        show_fields(row)


@app.command("endpoint")
def endpoint(
    organization: Organization,
    url: Annotated[str, typer.Option(metavar="U", help="Where its webhooks are posted.")],
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Json = False,
) -> None:
    """Adds a webhook endpoint; the secret that its webhooks are signed with is shown this once.

    Example: poolctl partner endpoint org_01HZY0 --url https://partner.example/hooks
    """
    request = admin_pb2.CreateWebhookEndpointRequest(organization_id=organization, url=url)

    async def question(session: Session) -> documents.Document:
        made = await session.gateway.admin.CreateWebhookEndpoint(request)
        return {"endpointId": made.endpoint_id, "secret": made.secret}

    document = ask(data_dir, question)
    if as_json:
        print_json(document)
        return
    show_fields(document)
    typer.echo("The secret is not shown again.", err=True)


def split(text: str) -> list[str]:
    """The words between commas."""
    return [word.strip() for word in text.split(",") if word.strip()]


def chosen(option: str, word: str | None, words: dict[str, int]) -> Any:
    """The enum's number for the word, 0 for none; wrong usage for another word."""
    if word is None:
        return 0
    if word not in words:
        raise typer.BadParameter(f"{word!r} is not one of {', '.join(words)}.", param_hint=option)
    return words[word]


def switch(option: str, word: str | None) -> bool | None:
    """None where nothing was said."""
    number = chosen(option, word, {"on": 1, "off": 2, "true": 1, "false": 2})
    return None if not number else bool(number == 1)


def cap_of(text: str) -> types_pb2.Money:
    """`EUR=10000.00`; the amount itself is the gateway's to judge."""
    currency, separator, amount = text.partition("=")
    if not separator or not currency or not amount:
        raise typer.BadParameter(f"{text!r} is not of the form EUR=10000.00.", param_hint="--notional-cap")
    return types_pb2.Money(currency=currency.strip().upper(), amount=amount.strip())
