"""The chain: recomputed here from the documentation alone, and changed by whatever changes in a transaction."""

from hashlib import sha256

import pytest

from ledger.domain.accounts import UNALLOCATED
from ledger.domain.chain import Digests, first_link
from ledger.domain.drafts import Draft, drafts_of
from ledger.domain.events import Event, PayinCredited
from ledger.domain.postings import postings_of
from tests.unit.ledger.builders import ORGANIZATION, TRADE, event


def draft(source: Event) -> Draft:
    """The event's only draft."""
    [made] = drafts_of(source, postings_of(source))
    return made


def test_a_partner_can_recompute_a_link_from_the_documentation() -> None:
    made = draft(event())
    transaction = made.facts.transaction_id
    ulid = transaction.removeprefix("ledger_")
    partner = "\n".join(
        [
            "0pools-ledger-partner-1",
            transaction,
            ORGANIZATION,
            "2026-11-22",
            "buy_debit",
            "b9" * 32,
            "pt_test_01KAPJDTG0XBPF23V128XAA8B6",
            "pq_test_01KAPJDTG0XBPF23V128XAA8B7",
            "req_1",
            "1",
            f"le_{ulid}1 EUR -100.00",
            "mobile_checkout_123",
        ]
    )
    others = "\n".join(
        [
            "0pools-ledger-others-1",
            transaction,
            f"le_{ulid}2 fees:EUR:11 0.20",
            f"le_{ulid}3 conversion:EUR:11 99.80",
            f"le_{ulid}4 conversion:USDT:11 -108.283000",
            f"le_{ulid}5 spread:USDT:11 0.378991",
            f"le_{ulid}6 inventory:USDT:11:EUR-USDT 107.904009",
        ]
    )
    digests = Digests(sha256(partner.encode()).digest(), sha256(others.encode()).digest())
    assert made.digests == digests
    first = sha256(f"0pools-ledger-chain-1\n{ORGANIZATION}".encode()).digest()
    assert first_link(ORGANIZATION) == first
    assert made.digests.link(first) == sha256(first + digests.partner + digests.others).digest()
    assert made.digests.content == sha256(digests.partner + digests.others).digest()


def test_transaction_without_a_partner_says_so() -> None:
    made = draft(event(PayinCredited("EUR", 100), UNALLOCATED))
    ulid = made.facts.transaction_id.removeprefix("ledger_")
    others = (
        f"0pools-ledger-others-1\n{made.facts.transaction_id}\n"
        f"le_{ulid}1 suspense:EUR:7 1.00\nle_{ulid}2 bank:EUR:7 -1.00"
    )
    assert made.digests.others == sha256(others.encode()).digest()


@pytest.mark.parametrize(
    "changed",
    [
        event(TRADE._replace(fiat=10_001)),
        event(TRADE._replace(crypto=107_904_008)),
        event(TRADE._replace(fee=21)),
        event(TRADE._replace(pool_id="GBP-USDT")),
        event(TRADE._replace(trade_id="pt_test_2")),
        event(TRADE._replace(quote_id="pq_test_2")),
        event(TRADE._replace(client_reference="")),
        event(organization_id="org_2"),
        event(request_id="req_2"),
        event(event_id="c0" * 32),
        event(occurred_ms=1_763_800_000_124),
    ],
)
def test_whatever_changes_in_an_event_changes_the_content(changed: Event) -> None:
    assert draft(changed).digests.content != draft(event()).digests.content


def test_free_text_cannot_pose_as_another_field() -> None:
    # Everything before the client reference is a fixed number of lines without line ends, so it may hold any text.
    honest = draft(event(TRADE._replace(client_reference="1\nle_x EUR 1.00")))
    assert honest.digests.partner != draft(event()).digests.partner


def test_leg_of_zero_is_left_out_and_the_others_keep_their_numbers() -> None:
    made = draft(event(TRADE._replace(fee=0, crypto=108_500_000)))
    ulid = made.facts.transaction_id.removeprefix("ledger_")
    others = (
        f"0pools-ledger-others-1\n{made.facts.transaction_id}\nle_{ulid}3 conversion:EUR:11 100.00\n"
        f"le_{ulid}4 conversion:USDT:11 -108.500000\nle_{ulid}6 inventory:USDT:11:EUR-USDT 108.500000"
    )
    assert made.digests.others == sha256(others.encode()).digest()
