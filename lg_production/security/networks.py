"""IP addresses: where they stand in a text, which are public, and which a policy lists."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from typing import TypeAlias

from .hosts import IP, ipv6, readings, spelled_ip

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

SPECIAL: tuple[Network, ...] = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16",
        "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
    )
)  # fmt: skip
"""IANA's special-purpose registries, multicast, and what carries an IPv4 address within."""
NAT64 = ipaddress.ip_network("64:ff9b::/96")

QUAD = re.compile(
    r"(?<![\w.])(?:0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10})(?:\.(?:0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10})){0,3}"
    r"(?![\w]|\.\w)"
)
COLONS = re.compile(r"(?<![\w:.])[0-9a-fA-F:.]+(?![\w:])")


def is_public(address: IP) -> bool:
    """Whether an address is one of the internet's. Behind NAT64, the one that is meant counts."""
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        if address in NAT64:
            mapped = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if mapped is not None:
            return is_public(mapped)
    return not any(address in network for network in SPECIAL)


def is_listed(address: IP, networks: Iterable[Network]) -> bool:
    """Whether one of these networks allows this address.

    A network that is wider than any special one (`0.0.0.0/0`) allows public addresses only.
    """
    public = is_public(address)
    return any(address in network and (public or _is_special(network)) for network in networks)


def _is_special(network: Network) -> bool:
    return any(
        network.version == special.version and network.subnet_of(special)  # type: ignore[arg-type]
        for special in SPECIAL
    )


def ips_in(text: str) -> Iterator[tuple[int, int, str]]:
    """Where IP addresses stand by themselves, in the notations that nothing else is written in."""
    for match in QUAD.finditer(text):
        parts = match[0].split(".")
        odd = any(part[:2] in ("0x", "0X") for part in parts)
        if len(parts) == 4 or (odd and len(parts) > 1):
            for host in readings(match[0]):
                yield match.start(), match.end(), host
    if "::" in text or text.count(":") > 6:
        for match in COLONS.finditer(text):
            word = match[0].rstrip(".")
            groups = sum(1 for part in word[:64].split(":") if part)
            if len(word) <= 45 and (groups > 1 or word == "::1") and (ip := ipv6(word)):
                yield match.start(), match.start() + len(word), spelled_ip(ip)
