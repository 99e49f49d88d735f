"""What a partner asks a price for, and whether the pool takes it: one order, checked and priced."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from poolkit.errors import InvalidRequest
from poolkit.money import parse_amount
from quote.domain.addresses import check_address
from quote.domain.pools import Pool, Side
from quote.domain.pricing import Price, Terms, price

CLIENT_REFERENCE_CHARACTERS_MAX: Final = 128


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for, as it came."""

    pool_id: str
    side: Side | None
    """None where none was stated."""
    amount: str
    currency: str
    """Of the amount; either of the pool's."""
    network: str
    destination_address: str
    """Empty for off-ramp."""
    client_reference: str
    """Empty when there is none."""
    tier: str
    firm: bool


def check_order(order: Order, pool: Pool, mode: str) -> Decimal:
    """The amount asked for, when the pool takes such orders. Raises InvalidRequest, naming the field."""
    if order.side is None or order.side not in pool.sides:
        raise InvalidRequest(f"this pool offers {_listed(pool.sides)}; ask for one of them.", field="side")
    if order.currency not in (pool.fiat_currency, pool.crypto_currency):
        raise InvalidRequest(
            f"it is not one of the pool's, {pool.fiat_currency} and {pool.crypto_currency}.", field="amountCurrency"
        )
    amount = parse_amount(order.amount, order.currency)
    if order.network not in pool.networks:
        raise InvalidRequest(f"this pool moves crypto on {_listed(pool.networks)}; name one of them.", field="network")
    _check_destination(order, mode)
    _check_client_reference(order.client_reference)
    return amount


def price_order(order: Order, amount: Decimal, pool: Pool, terms: Terms) -> Price:
    """Prices a checked order. Raises InvalidRequest where the fiat side is outside the pool's limits."""
    assert order.side is not None, "the order was not checked"
    in_fiat = order.currency == pool.fiat_currency
    if in_fiat:
        pool.check_limits(amount)
    made = price(order.side, amount, in_fiat=in_fiat, terms=terms)
    if not in_fiat:
        pool.check_limits(made.fiat)
    return made


def _check_destination(order: Order, mode: str) -> None:
    if order.side is Side.ON_RAMP:
        if not order.destination_address:
            raise InvalidRequest("an on-ramp order needs the address to deliver to.", field="destinationAddress")
        check_address(order.destination_address, order.network, mode)
    elif order.destination_address:
        raise InvalidRequest(
            "an off-ramp order delivers no crypto, so it takes no address; leave it out.", field="destinationAddress"
        )


def _check_client_reference(reference: str) -> None:
    if len(reference) > CLIENT_REFERENCE_CHARACTERS_MAX:
        raise InvalidRequest(
            f"it is longer than {CLIENT_REFERENCE_CHARACTERS_MAX} characters; send a shorter one.",
            field="clientReference",
        )
    # The database stores any other character.
    if "\x00" in reference:
        raise InvalidRequest("it contains the character U+0000; leave that out.", field="clientReference")


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names)
