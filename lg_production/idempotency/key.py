"""Keys and fingerprints: what makes two requests the same."""

from __future__ import annotations

import hashlib
import hmac

from ..core.identity import ToolCallIdentity
from ..core.keys import canonical, digest
from ..errors import NotDurable
from .policy import Arguments, EffectPolicy

__all__ = ["call_key", "canonical", "fingerprint", "native_key"]


def fingerprint(policy: EffectPolicy, arguments: Arguments) -> bytes:
    """The hash of the identity arguments: all but the declared `content_arguments`."""
    identity = {k: v for k, v in arguments.items() if k not in policy.content_arguments}
    return digest(canonical(identity))


def call_key(
    policy: EffectPolicy,
    identity: ToolCallIdentity,
    *,
    tenant: str,
    tool: str,
    arguments: Arguments,
) -> bytes:
    """The key of a tool call. Raises `NotDurable` where nothing durable identifies it."""
    thread = identity.task.thread_id
    if policy.business is not None:
        name = policy.business(arguments)
        if not isinstance(name, str) or not name:
            raise ValueError(
                f"business of {tool!r} must return a non-empty string, returned {name!r}"
            )
        parts: tuple[str, ...] = ("business", name)
    elif policy.window is not None:
        identity_arguments = {
            k: v for k, v in arguments.items() if k not in policy.content_arguments
        }
        parts = ("arguments", thread, canonical(identity_arguments))
    else:
        if not identity.message_id or not identity.tool_call_id:
            raise NotDurable(
                f"The call of {tool!r} has no "
                f"{'id' if identity.message_id else 'model answer in the state'}, so nothing "
                "identifies it after a crash. Keep messages in the state, or declare business=…"
            )
        parts = ("call", thread, identity.message_id, identity.tool_call_id)
    return digest(tenant, tool, policy.version, *parts)


def native_key(secret: str, key: bytes) -> str:
    """What the provider is given: HMAC-SHA256, so that it reveals nothing; 64 characters."""
    return hmac.new(secret.encode(), key, hashlib.sha256).hexdigest()
