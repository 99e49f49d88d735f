"""Keccak-256 as Ethereum uses it, which the standard library's SHA-3 is not: they differ in one byte of padding."""

from typing import Final

_MASK: Final = (1 << 64) - 1
_RATE_BYTES: Final = 136
_ROUNDS: Final = 24


def _rotated(lane: int, by: int) -> int:
    return (lane << by | lane >> (64 - by)) & _MASK if by else lane


def _round_constants() -> tuple[int, ...]:
    """From the linear feedback shift register of FIPS 202, section 3.2.5."""
    constants = []
    register = 1
    for _ in range(_ROUNDS):
        constant = 0
        for bit in range(7):
            if register & 1:
                constant |= 1 << ((1 << bit) - 1)
            register = register << 1 ^ (0x171 if register & 0x80 else 0)
        constants.append(constant)
    return tuple(constants)


def _rotations() -> dict[tuple[int, int], int]:
    """Offsets of ρ, FIPS 202 section 3.2.2."""
    offsets = {(0, 0): 0}
    x, y = 1, 0
    for step in range(24):
        offsets[x, y] = (step + 1) * (step + 2) // 2 % 64
        x, y = y, (2 * x + 3 * y) % 5
    return offsets


_CONSTANTS: Final = _round_constants()
_ROTATIONS: Final = _rotations()


def _permute(lanes: dict[tuple[int, int], int]) -> dict[tuple[int, int], int]:
    for constant in _CONSTANTS:
        columns = [lanes[x, 0] ^ lanes[x, 1] ^ lanes[x, 2] ^ lanes[x, 3] ^ lanes[x, 4] for x in range(5)]
        mixed = [columns[(x - 1) % 5] ^ _rotated(columns[(x + 1) % 5], 1) for x in range(5)]
        moved = {
            (y, (2 * x + 3 * y) % 5): _rotated(lane ^ mixed[x], _ROTATIONS[x, y]) for (x, y), lane in lanes.items()
        }
        lanes = {
            (x, y): lane ^ (moved[(x + 1) % 5, y] ^ _MASK) & moved[(x + 2) % 5, y] for (x, y), lane in moved.items()
        }
        lanes[0, 0] ^= constant
    return lanes


def keccak_256(message: bytes) -> bytes:
    """The 32-byte digest. For short messages off the hot path: about 1 ms each."""
    padded = bytearray(message + b"\x01" + b"\x00" * (_RATE_BYTES - len(message) % _RATE_BYTES - 1))
    padded[-1] |= 0x80
    lanes = {(x, y): 0 for x in range(5) for y in range(5)}
    for start in range(0, len(padded), _RATE_BYTES):
        for lane in range(_RATE_BYTES // 8):
            at = start + lane * 8
            lanes[lane % 5, lane // 5] ^= int.from_bytes(padded[at : at + 8], "little")
        lanes = _permute(lanes)
    return b"".join(lanes[lane % 5, lane // 5].to_bytes(8, "little") for lane in range(4))
