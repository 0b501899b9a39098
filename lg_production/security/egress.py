"""Egress: no argument of any tool points to an address that is not allowed, reads included."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

from langgraph.prebuilt.tool_node import ToolCallRequest
from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from ..core.events import Observer
from ..core.steps import Emit, Steps, off_loop
from ..core.wrappers import Handler, ToolResult, ToolWrapper
from ..errors import EgressDenied
from .addresses import SPECIAL, Address
from .held import Held, HeldValue
from .hosts import canonical_host, ip_of, is_shared
from .networks import Network, is_listed, is_public
from .places import addresses_of, breaks_a_header
from .questions import settle, told
from .sinks import leaves

Reason: TypeAlias = Literal[
    "host_not_allowed", "email_not_allowed", "private_address", "address_not_allowed",
    "scheme_not_allowed", "host_unreadable", "line_break_in_header",
]  # fmt: skip

INTERNAL = ("localhost", "local", "internal", "intranet", "lan", "corp", "home", "home.arpa")
"""Names that mean a machine nearby: `*` does not allow them."""
WITH_HOST = SPECIAL | {"file"}
"""Schemes whose URL says nothing without a host."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One address that is not allowed: in which argument it stands, and why."""

    argument: str
    address: Address
    reason: Reason

    @property
    def kind(self) -> str:
        """What it is to who is shown it."""
        return "header" if self.reason == "line_break_in_header" else self.address.kind


class EgressPolicy(BaseModel):
    """What may be reached. Nothing is, unless it is listed.

    `hosts`: `example.com` is that host alone, `*.example.com` every host below it and not itself,
    `*` every public name. `emails`: an address, or `@example.com`, or `@*.example.com`, or `*` for
    every address at a public name; the part before the @ counts in any case. `networks`: IP
    networks; a private one must be listed as such. `schemes`: of URLs; one without a scheme is
    allowed, and so is `mailto:` to addresses that are. `identifiers`: names of arguments that hold
    an id and nothing that is reached, though it may look like an address (`message_id`). A star
    below which strangers register names (`*.com`, `*.co.uk`, `*.github.io`) is a `ValueError`, as
    far as `is_shared` knows them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    hosts: frozenset[str] = frozenset()
    emails: frozenset[str] = frozenset()
    networks: tuple[str, ...] = ()
    schemes: frozenset[str] = frozenset({"http", "https", "ws", "wss"})
    identifiers: frozenset[str] = frozenset()

    @field_validator("hosts")
    @classmethod
    def _hosts(cls, hosts: frozenset[str]) -> frozenset[str]:
        return frozenset(pattern(host) for host in hosts)

    @field_validator("emails")
    @classmethod
    def _emails(cls, emails: frozenset[str]) -> frozenset[str]:
        listed = set()
        for email in emails:
            local, at, domain = email.rpartition("@")
            if email != "*" and (not at or domain == "*"):
                raise ValueError(
                    f"an e-mail address, @example.com, or '*' for everybody's, not {email!r}"
                )
            listed.add(f"{local.casefold()}@{pattern(domain)}" if at else email)
        return frozenset(listed)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        self.listed()
        return self

    def listed(self) -> tuple[Network, ...]:
        """The networks. Raises `ValueError` for what is none."""
        return tuple(ipaddress.ip_network(network) for network in self.networks)

    def refuses(self, address: Address) -> Reason | None:
        """Why this address may not be reached; None if it may."""
        if address.kind == "email":
            return None if self._allows_mail(address) else "email_not_allowed"
        if address.scheme and address.scheme not in self.schemes:
            return "scheme_not_allowed"
        if address.scheme and not address.host and address.scheme not in WITH_HOST:
            return None
        return self.refuses_host(address.host)

    def refuses_host(self, host: str) -> Reason | None:
        """The same for a host in its one spelling (`canonical_host`)."""
        if not host:
            return "host_unreadable"
        ip = ip_of(host)
        if ip is not None:
            if is_listed(ip, self.listed()):
                return None
            return "address_not_allowed" if is_public(ip) else "private_address"
        if fits(host, self.hosts) or ("*" in self.hosts and not is_internal(host)):
            return None
        return "host_not_allowed"

    def check(self, arguments: Mapping[str, Any]) -> tuple[Refusal, ...]:
        """Every address in these arguments that may not be reached, at any depth."""
        refused: dict[tuple[str, str, str], Refusal] = {}
        for where, name, text in leaves(arguments):
            for address in () if name in self.identifiers else addresses_of(name, text):
                reason = self.refuses(address)
                if reason is not None:
                    key = (where, address.value, address.host)
                    refused.setdefault(key, Refusal(where, address, reason))
            if breaks_a_header(where, name, text):
                line = Address("email", text, "")
                refused[where, text, "\n"] = Refusal(where, line, "line_break_in_header")
        return tuple(refused.values())

    def _allows_mail(self, address: Address) -> bool:
        local = address.value.rpartition("@")[0].casefold()
        own = {email[1:] for email in self.emails if email.startswith("@")}
        listed = f"{local}@{address.host}" in self.emails
        anybody = "*" in self.emails and not is_internal(address.host)
        return bool(address.host) and (listed or anybody or fits(address.host, own))


def pattern(host: str) -> str:
    """A host of a policy in one spelling. Raises `ValueError` for what is none, or everybody's."""
    if host == "*":
        return host
    star = "*." if host.startswith("*.") else ""
    name = canonical_host(host.removeprefix("*."))
    if name is None or ip_of(name) is not None:
        raise ValueError(f"{host!r} is no host name; IP addresses are listed as networks")
    if star and is_shared(name):
        raise ValueError(
            f"below {name!r} anybody can have a name: list the domains that you mean, "
            f"as '*.yours.{name}', or '*' for every public one, not {host!r}"
        )
    return star + name


def fits(host: str, patterns: frozenset[str] | set[str]) -> bool:
    """Whether a host is listed, itself or by a star above it."""
    if host in patterns:
        return True
    above = host.split(".")
    return any("*." + ".".join(above[n:]) in patterns for n in range(1, len(above)))


def is_internal(host: str) -> bool:
    """Whether a name is one of a machine nearby: without a dot, or under such a domain."""
    return "." not in host or any(host == n or host.endswith(f".{n}") for n in INTERNAL)


class Egress(ToolWrapper):
    """Holds every call that points to an address which `EgressPolicy` does not allow.

    It looks at every argument of every tool, at any depth, keys too: what is fetched from an
    address tells its owner something. `on_held`: `interrupt` puts the call to a person, as
    `ProvenanceGate` does; `block` refuses it; `error` raises `EgressDenied`. It sees what the
    model asked for: that a name resolves to an allowed address, and where a redirect leads,
    is for `PinnedTransport`. Emits `egress.held` and `egress.decided`.
    """

    def __init__(
        self,
        policy: EgressPolicy | None = None,
        *,
        on_held: Literal["interrupt", "block", "error"] = "interrupt",
        messages_key: str = "messages",
        observers: Sequence[Observer] = (),
    ) -> None:
        self.policy, self.on_held = policy or EgressPolicy(), on_held
        self.messages_key, self.observers = messages_key, observers

    def steps(self, request: ToolCallRequest, handler: Handler) -> Steps[ToolResult]:
        """Let the call pass, or settle what is to be done about it."""
        call = request.tool_call
        refused = yield from off_loop(lambda: self.policy.check(call["args"]))
        if not refused:
            return (yield from handler(request))
        held = held_of(call["name"], call["args"], refused)
        if self.on_held == "error":
            yield from Emit(told(held, request, "held", "error"))
            first = refused[0]
            raise EgressDenied(
                f"({held.tool}: {first.reason} in {first.argument[:80]})",
                tool=held.tool, argument=first.argument, reason=first.reason,
            )  # fmt: skip
        return (
            yield from settle(
                held, request, handler, on_held=self.on_held, messages_key=self.messages_key
            )
        )


WHY: Mapping[Reason, str] = {
    "host_not_allowed": "it points to a host that is not allowed",
    "email_not_allowed": "it points to an e-mail address that is not allowed",
    "private_address": "it points to a machine of the internal network",
    "address_not_allowed": "it points to an IP address that is not allowed",
    "scheme_not_allowed": "it uses a kind of address that is not allowed",
    "host_unreadable": "it points to a host that cannot be read",
    "line_break_in_header": "a line break would write another header",
}


def held_of(tool: str, arguments: Mapping[str, Any], refused: Sequence[Refusal]) -> Held:
    """What a person is asked about a call with these addresses."""
    codes = tuple(dict.fromkeys(one.reason for one in refused))
    values = tuple(
        HeldValue(one.argument, one.kind, one.address.value[:2_000]) for one in refused[:20]
    )
    return Held("egress", tool, arguments, codes, "; ".join(WHY[code] for code in codes), values)
