"""Keys and fingerprints."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lg_production import EffectPolicy
from lg_production.core.identity import Task, ToolCallIdentity
from lg_production.core.keys import digest
from lg_production.errors import NotDurable
from lg_production.idempotency.key import call_key, canonical, fingerprint, native_key

TASK = Task("thread", "task", "checkpoint", "tools:task", None, 1, None)
CALL = ToolCallIdentity(TASK, "message", "call", 1)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def key(policy=EffectPolicy(), identity=CALL, tenant="t", tool="book", **arguments):
    return call_key(policy, identity, tenant=tenant, tool=tool, arguments=arguments)


@given(st.lists(st.text()), st.lists(st.text()))
def test_no_two_lists_of_parts_share_a_digest(one, other):
    """Parts are length-prefixed: ("ab", "c") is not ("a", "bc")."""
    assert (one == other) == (digest(*one) == digest(*other))


@given(st.dictionaries(st.text(), JSON))
def test_the_order_of_arguments_does_not_matter(arguments):
    """JSON objects have no order."""
    backwards = dict(reversed(arguments.items()))

    assert canonical(arguments) == canonical(backwards)


def test_a_whole_float_is_the_integer():
    """A model that writes 300.0 for 300 asks for the same (RFC 8785)."""
    assert canonical({"price": 300}) == canonical({"price": 300.0})
    assert canonical({"price": 300}) != canonical({"price": 300.5})


def test_numbers_that_json_cannot_spell_have_a_spelling():
    """NaN and the infinities are values too."""
    assert '{"a":{"float":"nan"}}' == canonical({"a": math.nan})
    assert canonical({"a": math.inf}) != canonical({"a": "inf"})


@pytest.mark.parametrize(
    "other",
    [
        {"tenant": "u"},
        {"tool": "cancel"},
        {"policy": EffectPolicy(version="2")},
        {"identity": ToolCallIdentity(TASK, "message", "call-2", 1)},
        {"identity": ToolCallIdentity(TASK, "message-2", "call", 1)},
    ],
)
def test_tenant_tool_version_message_and_call_are_in_every_key(other):
    """Two tenants with the same order id never meet."""
    assert key() != key(**other)


def test_what_changes_at_a_resume_is_in_no_key():
    """Task, checkpoint and run are evidence."""
    later = Task("thread", "task-2", "checkpoint-2", "tools:task-2", "run", 3, "sync")

    assert key() == key(identity=ToolCallIdentity(later, "message", "call", 1))


def test_a_business_key_survives_a_lost_model_answer():
    """Another message and call id, the same order: the same key."""
    policy = EffectPolicy(business=lambda arguments: arguments["order"])
    asked_again = ToolCallIdentity(TASK, "message-2", "call-2", 1)

    assert key(policy, order="A") == key(policy, asked_again, order="A")
    assert key(policy, order="A") != key(policy, order="B")


def test_a_call_without_identity_is_refused():
    """No id or no model answer in the state: nothing durable names the call."""
    with pytest.raises(NotDurable, match="no id"):
        key(identity=ToolCallIdentity(TASK, "message", None, 1))
    with pytest.raises(NotDurable, match="no model answer"):
        key(identity=ToolCallIdentity(TASK, None, "call", 1))


def test_content_arguments_are_not_identity():
    """A reworded note is the same booking."""
    policy = EffectPolicy(content_arguments=frozenset({"note"}))

    assert fingerprint(policy, {"id": 1, "note": "a"}) == fingerprint(
        policy, {"id": 1, "note": "b"}
    )
    assert fingerprint(policy, {"id": 1}) != fingerprint(policy, {"id": 2})


@pytest.mark.parametrize("value", [{"na\ud800me": 1}, [1, {"\udcff": "x"}]])
def test_half_a_surrogate_pair_that_cannot_be_spelled_says_what_to_do(value):
    """Python's own words ("surrogates not allowed") tell nobody where such a text comes from."""
    with pytest.raises(UnicodeEncodeError, match=r"decode what was read with errors='replace'"):
        canonical(value)


def test_a_native_key_is_stable_and_reveals_nothing():
    """HMAC: the same for one secret, another for another."""
    assert native_key("s", b"k") == native_key("s", b"k")
    assert native_key("s", b"k") != native_key("z", b"k")
    assert b"k".hex() not in native_key("s", b"k")
