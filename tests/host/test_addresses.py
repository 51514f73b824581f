"""Where a request may go, by address alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import TaskError, UsageError
from orchestrator.host.addresses import METADATA, AddressRules

PRIVATE = [
    "127.0.0.1",
    "127.8.9.10",
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.1.1",
    "100.64.0.1",
    "192.0.0.8",
    "198.18.0.1",
    "203.0.113.7",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd12::1",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2001::1",
]
PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_public_is_denied(address: str) -> None:
    with pytest.raises(TaskError) as denied:
        AddressRules().check("name", [address])
    assert denied.value.type == "denied"


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_is_allowed(address: str) -> None:
    AddressRules().check("name", [address])


def test_one_bad_address_among_good_ones_is_enough() -> None:
    with pytest.raises(TaskError):
        AddressRules().check("name", ["8.8.8.8", "127.0.0.1"])


@pytest.mark.parametrize(
    ("allowed", "host", "address"),
    [
        ("127.0.0.0/8", "x", "127.0.0.1"),
        ("127.0.0.1", "x", "127.0.0.1"),
        ("::1", "x", "::1"),
        ("[::1]", "x", "::1"),
        ("10.0.0.0/8", "x", "::ffff:10.1.1.1"),
        ("build.internal", "Build.Internal.", "10.0.0.1"),
    ],
)
def test_a_private_address_may_be_allowed_by_network_address_or_name(allowed: str, host: str, address: str) -> None:
    AddressRules([allowed]).check(host, [address])
    with pytest.raises(TaskError):
        AddressRules([allowed]).check("other", ["192.168.0.1"])


@pytest.mark.parametrize("address", [*sorted(map(str, METADATA)), "::ffff:169.254.169.254", "64:ff9b::169.254.169.254"])
def test_a_metadata_service_is_never_allowed(address: str) -> None:
    rules = AddressRules(["0.0.0.0/0", "::/0", "metadata"])
    with pytest.raises(TaskError, match="metadata service"):
        rules.check("metadata", [address])


@pytest.mark.parametrize("entry", ["", "10.0.0.0/99", "http://x", "a b", "*.internal", "user@host"])
def test_an_entry_that_means_nothing_is_refused(entry: str) -> None:
    with pytest.raises(UsageError, match="allow_private"):
        AddressRules([entry])


@given(st.ip_addresses(v=4))
def test_no_spelling_of_a_v4_address_inside_v6_gets_further_than_itself(address: object) -> None:
    def denied(text: str) -> bool:
        try:
            AddressRules().check("name", [text])
        except TaskError:
            return True
        return False

    for text in (f"::ffff:{address}", f"64:ff9b::{address}"):
        assert denied(text) or not denied(str(address))
