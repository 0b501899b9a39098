"""A name is resolved once, and the address that was checked is the one that is connected to.

Who checks a name and lets the client resolve it again is open to DNS rebinding: the second answer
is another. `PinnedTransport` does it for httpx, at every hop of a redirect.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import httpx

from ..errors import EgressDenied
from .egress import EgressPolicy
from .hosts import IP, ip_of, ipv6, readings
from .networks import is_listed, is_public

Resolve: TypeAlias = Callable[[str, int], list[str]]


@dataclass(frozen=True, slots=True)
class Pinned:
    """A host and the one address to connect to for it."""

    host: str
    address: str
    port: int


def by_system(host: str, port: int) -> list[str]:
    """The addresses that this machine resolves a name to, in its order."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


def pinned(
    policy: EgressPolicy, host: str, port: int = 443, *, resolve: Resolve = by_system
) -> Pinned:
    """Resolve a name once and check every address that it has. Blocks.

    Raises `EgressDenied` if the name is not allowed, or one of its addresses is neither public
    nor in the policy's networks. Connect to `.address`, with `.host` in TLS and in the header.
    """
    names = readings(host) or (f"[{host}]",) if ":" not in host else readings(f"[{host}]")
    for name in names:
        reason = policy.refuses_host(name)
        if reason is not None:
            raise EgressDenied(f"({reason})", reason=reason)
    if len(names) != 1:
        raise EgressDenied("(host_unreadable)", reason="host_unreadable")
    (name,) = names
    if ip_of(name) is not None:
        return Pinned(name, name, port)
    answers = resolve(name, port)
    addresses = [address_of(answer) for answer in answers]
    if not addresses or not all(one is not None and _fits(policy, one) for one in addresses):
        raise EgressDenied("(the name resolves to an internal address)", reason="private_address")
    return Pinned(name, str(addresses[0]), port)


def address_of(answer: str) -> IP | None:
    """An address as a resolver gives it, without its zone."""
    return ipv6(answer) if ":" in answer else ip_of(answer)


def _fits(policy: EgressPolicy, address: IP) -> bool:
    return is_public(address) or is_listed(address, policy.listed())


FRESH = httpx.Limits(max_keepalive_connections=0)
"""No connection is used twice: one is known by its address, and two hosts may share that, but not
their certificates."""


class PinnedTransport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A transport for httpx that reaches what the policy allows, and nothing else.

        httpx.Client(transport=PinnedTransport(policy), trust_env=False)
        httpx.AsyncClient(transport=PinnedTransport(policy), trust_env=False)

    `trust_env=False`, because a proxy of the environment would resolve the name again. `inner`
    and `ainner` are what carries the request, httpx's own by default: one that keeps connections
    would use that of one host for another at the same address.
    """

    def __init__(
        self,
        policy: EgressPolicy,
        *,
        resolve: Resolve = by_system,
        inner: httpx.BaseTransport | None = None,
        ainner: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.policy, self.resolve = policy, resolve
        self._inner, self._ainner = inner, ainner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The sync side of httpx."""
        self._inner = self._inner or httpx.HTTPTransport(trust_env=False, limits=FRESH)
        return self._inner.handle_request(self._pin(request))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The async side of httpx; the name is resolved in a thread."""
        self._ainner = self._ainner or httpx.AsyncHTTPTransport(trust_env=False, limits=FRESH)
        return await self._ainner.handle_async_request(await asyncio.to_thread(self._pin, request))

    def close(self) -> None:
        """Close the connections of the sync side."""
        if self._inner is not None:
            self._inner.close()

    async def aclose(self) -> None:
        """Close the connections of the async side."""
        if self._ainner is not None:
            await self._ainner.aclose()

    def _pin(self, request: httpx.Request) -> httpx.Request:
        url = request.url
        if url.scheme not in self.policy.schemes:
            raise EgressDenied("(scheme_not_allowed)", reason="scheme_not_allowed")
        port = url.port or (80 if url.scheme in ("http", "ws") else 443)
        pin = pinned(self.policy, url.host, port, resolve=self.resolve)
        extensions: dict[str, Any] = dict(request.extensions)
        if ip_of(pin.host) is None:
            extensions["sni_hostname"] = pin.host
        return httpx.Request(
            request.method,
            url.copy_with(host=pin.address),
            headers=request.headers,
            stream=request.stream,
            extensions=extensions,
        )
