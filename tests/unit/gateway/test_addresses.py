"""Addresses: nothing private is reached, however it is spelled."""

import pytest

from gateway.app.addresses import check_url, is_public
from poolkit.errors import InvalidRequest

PRIVATE = (
    "127.0.0.1", "127.8.9.1", "0.0.0.0", "10.0.0.1", "172.16.5.4", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "192.0.0.8", "192.0.2.1", "198.18.0.1", "203.0.113.7", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12:3456::1", "fec0::1", "ff02::1", "2001:db8::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2001:0:7f00:1::",
    "localhost", "", "1", "0x7f000001", "127.1",
)  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_on_the_public_internet_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1"])
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/hook",
        "https://10.0.0.1/hook",
        "https://[::1]/hook",
        "https://127.0.0.1:8443/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://10.0.0.1./",
        "https://example.com:0/",
        "ftp://example.com",
        "https://user:secret@example.com/",
        "https://user@example.com/",
        "//example.com/hook",
        "https:///hook",
        "https://[::1/hook",
        "https://example.com:99999/",
        "https://example.com/a b",
        "https://example.com/\r\nX: y",
        "https://exämple.com/",
        "https://example.com/" + "a" * 2048,
        "example.com",
        "",
    ],
)
def test_urls_that_no_webhook_may_go_to_are_refused_naming_the_field(url: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_url(url, allow_private=False)
    assert refused.value.field == "url"


def test_public_urls_pass_and_development_may_reach_its_own_machine() -> None:
    check_url("https://example.com/hook?x=1", allow_private=False)
    check_url("https://1.1.1.1:8443/hook", allow_private=False)
    check_url("http://127.0.0.1:8080/hook", allow_private=True)
    with pytest.raises(InvalidRequest):
        check_url("file:///etc/passwd", allow_private=True)
