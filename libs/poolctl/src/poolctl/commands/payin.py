"""Owns `poolctl payin`: the sandbox bank tells of money that a partner's payer sent."""

from typing import Annotated

import typer

from poolctl.commands.options import DEFAULT_DATA_DIR, DataDir, Json, print_json
from poolctl.commands.partner import Organization
from poolctl.screen import show_fields
from poolctl.session import ask


def command(
    organization: Organization,
    currency: Annotated[str, typer.Option(metavar="EUR", help="The fiat currency that arrives.")],
    amount: Annotated[str, typer.Option(metavar="1000.00", help="How much; a decimal string.")],
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Json = False,
) -> None:
    """Sends a signed pay-in webhook as the sandbox bank would; the ledger shows it a moment later.

    Example: poolctl payin org_01HZY0 --currency EUR --amount 1000.00
    """
    from poolctl.payin import pay_in

    document = ask(data_dir, lambda session: pay_in(session, organization, currency=currency, amount=amount))
    if as_json:
        print_json(document)
    else:
        show_fields(document)
