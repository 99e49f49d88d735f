"""Owns `poolctl ledger balance`: what an account has, or had after an entry or at an instant."""

from typing import Annotated, Final

import typer

from poolctl.commands import documents
from poolctl.commands.options import DEFAULT_DATA_DIR, DataDir, Json, moment, print_json
from poolctl.screen import show_fields
from poolctl.session import Session, ask
from pools.ledger.v1 import audit_pb2

# Later than whatever is booked: this machine's clock need not be the database's.
_NOW: Final = "9999-12-31T00:00:00Z"


def balance(
    account: Annotated[
        str, typer.Argument(metavar="ORG|KIND", help="Whose: org_…, or one of ours: bank, fees, spread, inventory, ….")
    ],
    currency: Annotated[str, typer.Option(metavar="EUR", help="The currency or asset.")],
    pool: Annotated[str, typer.Option("--pool", metavar="POOL", help="Of `inventory`: only this pool's.")] = "",
    at: Annotated[str | None, typer.Option("--at", metavar="TIME", help="At this instant.")] = None,
    entry: Annotated[str, typer.Option("--entry", metavar="ENTRY", help="After this entry, le_….")] = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Json = False,
) -> None:
    """Shows the sum of an account's entries: now, at an instant, or after an entry. Holds are no entries.

    Example: poolctl ledger balance org_01HZY0 --currency EUR --at 2026-11-22T10:00:00Z
    """
    if entry and at is not None:
        raise typer.BadParameter("name an instant or an entry, not both.", param_hint="--at")
    request = audit_pb2.GetBalanceAtRequest()
    if entry:
        request.entry_id = entry
    else:
        request.instant.CopyFrom(moment("--at", at or _NOW))
    if account.startswith("org_"):
        if pool:
            raise typer.BadParameter("only `inventory` is kept per pool.", param_hint="--pool")
        request.partner.CopyFrom(audit_pb2.PartnerAccount(organization_id=account, currency=currency))
    else:
        request.system.CopyFrom(audit_pb2.SystemAccount(account_kind=account, currency=currency, pool_id=pool))

    async def question(session: Session) -> documents.Document:
        return documents.balance_at(account, await session.ledger.audit.GetBalanceAt(request))

    document = ask(data_dir, question)
    if as_json:
        print_json(document)
    else:
        show_fields(document)
