"""What a partner asks a price for, and what can be said against it without asking anyone.

Source: contract sections 2 and 5. Limits, networks and addresses are the quote service's to judge.
"""

from dataclasses import dataclass
from typing import Literal

from poolkit.errors import InvalidRequest
from poolkit.money import DIGITS, FIAT, format_amount, parse_amount


@dataclass(frozen=True, slots=True)
class QuoteTerms:
    """An amount to price, in either currency of the pool."""

    side: Literal["on_ramp", "off_ramp"]
    amount: str
    amount_currency: str
    network: str
    destination_address: str
    """Empty for none."""
    type: Literal["firm", "indicative"]
    client_reference: str
    """Empty for none."""


def check_terms(terms: QuoteTerms) -> None:
    """Raises InvalidRequest, naming the field in camelCase, where the terms contradict themselves."""
    if terms.amount_currency not in DIGITS:
        raise InvalidRequest(f"it is not one of {', '.join(DIGITS)}; name one of these.", field="amountCurrency")
    parse_amount(terms.amount, terms.amount_currency)
    if terms.side == "on_ramp" and not terms.destination_address:
        raise InvalidRequest(
            "an on-ramp quote says where the crypto goes; send the address.", field="destinationAddress"
        )
    if terms.side == "off_ramp" and terms.destination_address:
        raise InvalidRequest(
            "an off-ramp quote has none, since the crypto comes from you; leave it out.", field="destinationAddress"
        )


@dataclass(frozen=True, slots=True)
class _Amount:
    amount: str = ""
    currency: str = ""


@dataclass(frozen=True, slots=True)
class _Moment:
    seconds: int = 0
    nanos: int = 0


class UnpricedQuote:
    """The quote record where the engine could not be asked: what was asked for in checked terms, and no price."""

    available = False
    quote_id = rate = ""
    status = spread_bps = fee_bps = 0
    fee = _Amount()
    create_time = expire_time = _Moment()

    def __init__(self, pool_id: str, terms: QuoteTerms, *, unavailable_reason: str) -> None:
        self.unavailable_reason = unavailable_reason
        self.pool_id = pool_id
        self.side = 1 if terms.side == "on_ramp" else 2
        self.type = 1 if terms.type == "firm" else 2
        # The engine is not there to ask for the pool's currencies; its id names them, as every pool's does.
        fiat_currency, crypto_currency, *_ = *pool_id.split("-"), ""
        in_fiat = terms.amount_currency in FIAT
        asked = format_amount(parse_amount(terms.amount, terms.amount_currency), terms.amount_currency)
        self.fiat = _Amount(asked if in_fiat else "", fiat_currency)
        self.crypto = _Amount("" if in_fiat else asked, crypto_currency)
        self.network = terms.network
        self.destination_address = terms.destination_address
        self.client_reference = terms.client_reference
