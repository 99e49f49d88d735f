"""Owns `poolctl payin`: the sandbox bank tells of money that a payer sent; people tell whose unknown money is."""

import getpass
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from poolctl.commands import documents
from poolctl.commands.options import DEFAULT_DATA_DIR, DataDir, Json, print_json
from poolctl.commands.partner import Organization
from poolctl.screen import amount_text, console, show_fields, table
from poolctl.session import Session, ask
from pools.gateway.v1 import admin_pb2
from pools.webhook_ingest.v1 import payins_pb2

_PAGE_SIZE = 100


class _SendUnlessNamed(TyperGroup):
    """`poolctl payin ORG …` is `poolctl payin send ORG …`: what is no command's name is an organization's."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["send", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_SendUnlessNamed,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Money from banks: `payin ORG` is short for `payin send ORG`.\n\n"
    "Example: poolctl payin org_01HZY0 --currency EUR --amount 1000.00",
)


@app.command("send")
def send(
    organization: Organization,
    currency: Annotated[str, typer.Option(metavar="EUR", help="The fiat currency that arrives.")],
    amount: Annotated[str, typer.Option(metavar="1000.00", help="How much; a decimal string.")],
    reference: Annotated[
        str | None,
        typer.Option("--reference", metavar="TEXT", help="What the payer wrote instead of the partner's reference."),
    ] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Json = False,
) -> None:
    """Sends a signed pay-in webhook as the sandbox bank would; the ledger shows it a moment later.

    Example: poolctl payin send org_01HZY0 --currency EUR --amount 1000.00
    """
    from poolctl.payin import pay_in

    document = ask(
        data_dir, lambda session: pay_in(session, organization, currency=currency, amount=amount, reference=reference)
    )
    if as_json:
        print_json(document)
    else:
        show_fields(document)


@app.command("list")
def list_payins(
    unallocated: Annotated[
        bool, typer.Option("--unallocated", help="Those that came without a known reference; there is no other list.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="The most to show.")] = 50,
    cursor: Annotated[str, typer.Option(help="Go on from here: `nextCursor` of the list before.")] = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Json = False,
) -> None:
    """Lists money that nobody was credited with, the longest waiting first, and whose it may be.

    Example: poolctl payin list --unallocated
    """
    if not unallocated:
        raise typer.BadParameter("say which: --unallocated.", param_hint="--unallocated")

    async def question(session: Session) -> tuple[list[documents.Document], str, bool]:
        rows: list[documents.Document] = []
        request = payins_pb2.ListUnallocatedPayinsRequest(page_token=cursor)
        asked = True
        while True:
            request.page_size = min(_PAGE_SIZE, limit - len(rows))
            page = await session.webhook_ingest.payins.ListUnallocatedPayins(request)
            rows += [documents.unallocated_payin(row) for row in page.payins]
            asked = asked and page.references_asked
            request.page_token = page.next_page_token
            if not request.page_token or len(rows) >= limit:
                return rows, request.page_token, asked

    rows, following, asked = ask(data_dir, question)
    if as_json:
        print_json(
            {
                "payins": rows,
                "hasMore": bool(following),
                "nextCursor": following or None,
                "referencesAsked": asked,
            }
        )
        return
    shown = table("event", "received", "amount>", "reference", "may be meant for")
    for row in rows:
        candidates = [f"{each['organizationId']} ({each['ground']} {each['evidence']})" for each in row["candidates"]]
        shown.add_row(
            row["payinEventId"],
            row["receivedAt"],
            f"{amount_text(row['amount'])} {row['currency']}",
            row["fundingReference"],
            "\n".join(candidates) or "nobody known",
        )
    console().print(shown)
    if not asked:
        typer.echo("The ledger is out of reach: candidates by reference are missing.", err=True)
    if following:
        typer.echo(f"There are more: --cursor {following} goes on, --limit shows more than {limit}.", err=True)


@app.command("allocate")
def allocate(
    event: Annotated[
        str, typer.Argument(metavar="EVENT", help="The pay-in: its event, webhook, or the bank's id of either.")
    ],
    organization: Organization,
    reason: Annotated[
        str, typer.Option("--reason", metavar="WORDS", help="Why it is theirs; it is kept with the event.")
    ] = "no reason given",
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who decided; by default who is logged in.")] = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Json = False,
) -> None:
    """Tells whose an unallocated pay-in is, once and for good: the ledger moves it from suspense to the partner.

    Said again of the same partner it changes nothing; of another one it is refused.

    Example: poolctl payin allocate 3f2a… org_01HZY0 --reason "the payer called"
    """

    async def question(session: Session) -> documents.Document:
        # Money must not go to an organization that nobody knows.
        await session.gateway.admin.GetEntitlement(admin_pb2.GetEntitlementRequest(organization_id=organization))
        answer = await session.webhook_ingest.payins.AllocatePayin(
            payins_pb2.AllocatePayinRequest(
                payin_id=event,
                organization_id=organization,
                allocated_by=by or getpass.getuser(),
                allocation_reason=reason,
            )
        )
        return documents.allocated_payin(answer, organization)

    document = ask(data_dir, question)
    if as_json:
        print_json(document)
    else:
        show_fields(document)
