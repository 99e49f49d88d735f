"""Where crypto may be sent: the form of a destination address, by network. Source: contract section 11."""

import hashlib
import re
from typing import Final

from poolkit.errors import InvalidRequest
from quote.domain.keccak import keccak_256

_SANDBOX: Final = re.compile(r"[A-Za-z0-9]{4,128}")
_EVM: Final = re.compile(r"0x[0-9a-fA-F]{40}")
_TRON: Final = re.compile(r"T[1-9A-HJ-NP-Za-km-z]{33}")
_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_TRON_VERSION: Final = 0x41
_FIELD: Final = "destinationAddress"


def check_address(address: str, network: str, mode: str) -> None:
    """Raises InvalidRequest where crypto sent there could not arrive.

    Test mode looks at length and alphanumerics only, so that an address can choose the sandbox's outcome. Live mode
    checks the form and, where the address carries one, the checksum of its network: what is sent elsewhere is lost.
    """
    if mode == "test":
        if _SANDBOX.fullmatch(address) is None:
            raise InvalidRequest("it is not 4 to 128 letters and digits; send the address alone.", field=_FIELD)
    elif network == "tron":
        if not _is_tron(address):
            raise InvalidRequest("it is not a TRON address with a valid checksum; copy it anew.", field=_FIELD)
    elif not _is_evm(address):
        raise InvalidRequest(
            f"it is not an address on {network}: `0x` and 40 hexadecimal digits, in mixed case only with a valid "
            "checksum; copy it anew.",
            field=_FIELD,
        )


def _is_tron(address: str) -> bool:
    """Base58Check of version 0x41 and 20 bytes."""
    if _TRON.fullmatch(address) is None:
        return False
    number = 0
    for character in address:
        number = number * 58 + _BASE58.index(character)
    if number >= 1 << 200:
        return False
    raw = number.to_bytes(25)
    checksum = hashlib.sha256(hashlib.sha256(raw[:21]).digest()).digest()[:4]
    return raw[0] == _TRON_VERSION and raw[21:] == checksum


def _is_evm(address: str) -> bool:
    """EIP-55: one case throughout carries no checksum, mixed case is one."""
    if _EVM.fullmatch(address) is None:
        return False
    digits = address[2:]
    if digits in (digits.lower(), digits.upper()):
        return True
    digest = keccak_256(digits.lower().encode()).hex()
    return all(
        digit == (digit.upper() if int(nibble, 16) >= 8 else digit.lower())
        for digit, nibble in zip(digits, digest, strict=False)
    )
