"""Destination addresses: in live mode nothing is sent where it could not arrive."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolkit.errors import InvalidRequest
from quote.domain.addresses import check_address
from quote.domain.keccak import keccak_256

TRON = "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"
# Examples of EIP-55.
MIXED_CASE = [
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
]


def refuses(address: str, network: str, mode: str = "live") -> bool:
    try:
        check_address(address, network, mode)
    except InvalidRequest as error:
        return error.field == "destinationAddress"
    return False


@pytest.mark.parametrize(
    ("message", "digest"),
    [
        (b"", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"),
        (b"abc", "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"),
    ],
)
def test_keccak_is_the_one_ethereum_uses(message: bytes, digest: str) -> None:
    assert keccak_256(message).hex() == digest


@pytest.mark.parametrize("length", [135, 136, 137, 272])
def test_keccak_pads_at_the_edges_of_a_block(length: int) -> None:
    assert len({keccak_256(b"a" * n) for n in (length - 1, length, length + 1)}) == 3


@pytest.mark.parametrize("network", ["ethereum", "polygon", "base"])
@pytest.mark.parametrize("address", MIXED_CASE)
def test_evm_address_is_taken_in_one_case_or_with_its_checksum(address: str, network: str) -> None:
    assert not refuses(address, network)
    assert not refuses(address.lower(), network)
    assert not refuses("0x" + address[2:].upper(), network)
    letter = next(position for position in range(2, len(address)) if address[position].isalpha())
    assert refuses(address[:letter] + address[letter].swapcase() + address[letter + 1 :], network)


def test_tron_address_is_taken_with_its_checksum_only() -> None:
    assert not refuses(TRON, "tron")
    assert refuses(TRON[:-1] + "u", "tron")


@given(st.integers(1, len(TRON) - 1), st.sampled_from("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"))
def test_one_wrong_character_in_a_tron_address_is_noticed(position: int, character: str) -> None:
    wrong = TRON[:position] + character + TRON[position + 1 :]
    assert refuses(wrong, "tron") == (wrong != TRON)


@pytest.mark.parametrize("address", ["", "TQabcdefgh0001", "0x12", MIXED_CASE[0][2:], TRON + "t", "T" + "z" * 33])
@pytest.mark.parametrize("network", ["tron", "ethereum"])
def test_live_mode_refuses_what_is_no_address_of_the_network(address: str, network: str) -> None:
    assert refuses(address, network)


@pytest.mark.parametrize(("address", "network"), [(TRON, "ethereum"), (MIXED_CASE[0], "tron")])
def test_live_mode_refuses_an_address_of_another_network(address: str, network: str) -> None:
    assert refuses(address, network)


@pytest.mark.parametrize("ending", ["0001", "0002", "0003", "0004", "0005", "0006"])
def test_test_mode_takes_addresses_that_choose_an_outcome(ending: str) -> None:
    assert not refuses(f"TQsandbox{ending}", "tron", "test")
    assert refuses(f"TQ-sandbox-{ending}", "tron", "test")
