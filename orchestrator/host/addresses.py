"""Which network addresses a task's request may reach: public ones, private ones the project names, metadata services never."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from typing import Final

from orchestrator.errors import TaskError, UsageError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

METADATA: Final = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "169.254.169.254",  # AWS, Azure, Google, OpenStack, DigitalOcean and most others
        "169.254.170.2",  # AWS container credentials
        "169.254.170.23",  # AWS pod identity
        "169.254.0.23",  # Tencent
        "100.100.100.200",  # Alibaba
        "168.63.129.16",  # Azure's host, a public address
        "192.0.0.192",  # Oracle
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",  # Google
        "fe80::a9fe:a9fe",  # OpenStack
        "fd00:42::42",  # Scaleway
    )
)
_NEVER_GLOBAL: Final = tuple(
    ipaddress.ip_network(text)
    for text in (
        "192.0.0.0/24",
        "192.88.99.0/24",
        "240.0.0.0/4",
        "64:ff9b:1::/48",
        "2001::/23",
        "fec0::/10",
        "100::/64",
    )
)
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")


class AddressRules:
    """`allow_private` holds networks (`10.0.0.0/8`), addresses and host names that may be private. UsageError if unreadable."""

    def __init__(self, allow_private: Iterable[str] = ()) -> None:
        self._networks: list[Network] = []
        self._hosts: set[str] = set()
        for entry in allow_private:
            try:
                self._networks.append(ipaddress.ip_network(entry.strip("[]"), strict=False))
            except ValueError:
                if not entry or any(char in entry for char in "/:@ *"):
                    raise UsageError(
                        f"`http.allow_private`: {entry!r} is no network, address or host name",
                        help="for example `10.0.0.0/8`, `127.0.0.1` or `build.internal`",
                    ) from None
                self._hosts.add(entry.lower().rstrip("."))

    def check(self, host: str, addresses: Iterable[str]) -> None:
        """Raises TaskError `denied` if any of the addresses that `host` stands for is forbidden."""
        for text in addresses:
            address = ipaddress.ip_address(text.partition("%")[0])
            if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
                address = address.ipv4_mapped
            for meant in (address, *_embedded(address)):
                self._check_one(host, meant)

    def _check_one(self, host: str, address: Address) -> None:
        where = host if host == str(address) else f"{host} ({address})"
        if address in METADATA:
            raise TaskError("denied", f"{where} is a cloud's metadata service: no task may reach it")
        if _public(address) or host.lower().rstrip(".") in self._hosts:
            return
        if not any(address in network for network in self._networks if network.version == address.version):
            raise TaskError(
                "denied",
                f"{where} is not a public address",
                help=f"add {host!r} or its network to `http: {{allow_private: […]}}` in config/whisper-flow.yaml",
            )


def _public(address: Address) -> bool:
    if address.is_multicast or address.is_unspecified or not address.is_global:
        return False
    return not any(address in network for network in _NEVER_GLOBAL if network.version == address.version)


def _embedded(address: Address) -> Iterator[Address]:
    """IPv4 addresses that a request to this IPv6 address may end at."""
    if not isinstance(address, ipaddress.IPv6Address):
        return
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    low = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    if address in _NAT64 or (int(address) >> 32 == 0 and int(address) > 1):
        yield low
