"""Where webhooks may go: which URLs are accepted, and which network addresses may be connected to.

Source: contract section 7: no private address outside dev mode, decided on the address that is connected to.
"""

from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import urlsplit

from poolkit.errors import InvalidRequest

URL_LENGTH_MAX: Final = 2048

# Written out, since what the standard library calls global differs between its releases.
_NOT_PUBLIC_V4: Final = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/4", "240.0.0.0/4",
    )
)  # fmt: skip
_UNICAST_V6: Final = IPv6Network("2000::/3")
# Protocol assignments, documentation, and 6to4, which stands for an IPv4 address that would have to be judged too.
_NOT_PUBLIC_V6: Final = tuple(
    IPv6Network(network) for network in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)


def is_public(address: str) -> bool:
    """Whether the address belongs to the public internet. False for what cannot be read as an address."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is None:
            return parsed in _UNICAST_V6 and not any(parsed in network for network in _NOT_PUBLIC_V6)
        parsed = parsed.ipv4_mapped
    return not any(parsed in network for network in _NOT_PUBLIC_V4)


def check_url(url: str, *, allow_private: bool) -> None:
    """Raises InvalidRequest for a URL that no webhook may go to; what a name leads to is judged at each attempt."""
    if not url.isascii() or not url.isprintable() or " " in url or len(url) > URL_LENGTH_MAX:
        raise _refused("it must be a URL of printable ASCII characters, at most 2,048 of them")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise _refused("it cannot be read as a URL") from None
    if not host or port == 0:
        raise _refused("it must be absolute, with a host")
    if parts.username is not None or parts.password is not None:
        raise _refused("it must not carry credentials; the signature tells who sends")
    if parts.scheme != "https" and not (allow_private and parts.scheme == "http"):
        raise _refused("its scheme must be https")
    if _ends_in_number(host) and not _is_address(host):
        raise _refused("a host of numbers must be written as an IP address, such as 192.0.2.1")
    if not allow_private and (_is_address(host) and not is_public(host)):
        raise _refused("it must not lead to a private, loopback or link-local address")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _ends_in_number(host: str) -> bool:
    """Whether resolvers may read the host as an IPv4 address: `127.1`, `0x7f000001`, `2130706433`."""
    label = host.rstrip(".").rpartition(".")[2]
    return label.isdecimal() or label.startswith("0x")


def _refused(why: str) -> InvalidRequest:
    return InvalidRequest(f"{why}; give another address.", field="url")
