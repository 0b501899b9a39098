"""A name is resolved once, and the address that was checked is the one that is connected to.

Who checks a name and lets the client resolve it again is open to DNS rebinding: the second answer
is another. `PinnedTransport` does it for httpx, at every hop of a redirect.
"""

from __future__ import annotations

import asyncio
import re
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


class Unresolved(httpx.ConnectError):
    """A name has no address, so nothing was sent. Look at its spelling, or at the resolver."""


def by_system(host: str, port: int) -> list[str]:
    """The addresses that this machine resolves a name to, in its order."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


def pinned(
    policy: EgressPolicy, host: str, port: int = 443, *, resolve: Resolve = by_system
) -> Pinned:
    """Resolve a name once and check every address that it has. Blocks.

    Raises `EgressDenied` if the name is not allowed, or one of its addresses is neither public
    nor in the policy's networks, and `Unresolved` if it has none. Connect to `.address`, with
    `.host` in TLS and in the header.
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
    addresses = [address_of(answer) for answer in _answers(resolve, name, port)]
    if not all(one is not None and _fits(policy, one) for one in addresses):
        raise EgressDenied("(the name resolves to an internal address)", reason="private_address")
    return Pinned(name, str(addresses[0]), port)


def _answers(resolve: Resolve, name: str, port: int) -> list[str]:
    """What the resolver says. Raises `Unresolved` if that is nothing."""
    try:
        answers = resolve(name, port)
    except (OSError, UnicodeError) as error:  # UnicodeError: no such name can be asked for
        raise Unresolved(f"{name} does not resolve: {error}") from error
    if not answers:
        raise Unresolved(f"{name} has no address")
    return answers


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
    would use that of one host for another at the same address. Raises `EgressDenied` for what is
    not allowed, and where a header `Host` or an extension (`sni_hostname`, `target`) of the
    caller's names another host than the URL; `Unresolved`, a `httpx.ConnectError`, for a name
    without an address.
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
        pin = pinned(self.policy, url.raw_host.decode("ascii"), port, resolve=self.resolve)
        _refuse_another(request, pin)
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


TARGET = re.compile(rb"/[!-~]*|\*")
"""A target that names no host: a path, or all of a server."""
AUTHORITY = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(?::([0-9]{1,5}))?")


def _refuse_another(request: httpx.Request, pin: Pinned) -> None:
    """Refuse a request that goes to the URL's address and asks there for another host.

    Who answers at an address is chosen by its header, by the name in TLS, and by a target that
    is a whole URL, which counts more than the header (RFC 9112 section 3.2.2).
    """
    asked = request.headers.get_list("host")
    sni, target = request.extensions.get("sni_hostname"), request.extensions.get("target", b"/")
    named = [*asked, *([str(sni)] if sni is not None else [])]
    if len(asked) > 1 or not _is_path(target) or not all(_is_at(name, pin) for name in named):
        raise EgressDenied("(the request names another host than its URL)", reason="other_host")


def _is_path(target: Any) -> bool:
    """Whether a target names no host. What is neither text nor bytes is no target."""
    raw = target.encode("utf-8", "surrogatepass") if isinstance(target, str) else target
    return isinstance(raw, bytes) and TARGET.fullmatch(raw) is not None


def _is_at(authority: str, pin: Pinned) -> bool:
    """Whether a host, and a port where one is given, are those of the URL."""
    found = AUTHORITY.fullmatch(authority)
    if found is None or int(found[2] or pin.port) != pin.port:
        return False
    return readings(found[1]) == (pin.host,)
