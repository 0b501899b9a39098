"""The shapes of well-known secrets: one list, for what must not leave and what is written down."""

from __future__ import annotations

B, E = r"(?<![A-Za-z0-9])", r"(?![A-Za-z0-9])"
"""No letter or digit before it, and none behind it."""
COMMON = frozenset(
    {"openai_key", "huggingface_token", "sendgrid_key", "twilio_key", "jwt", "telegram_token"}
)
"""Those whose beginning may be the end of a word; the others are known in the midst of one."""
TOKENS: tuple[tuple[str, str, float], ...] = (
    ("aws_access_key", r"(?:AKIA|ASIA|ABIA|ACCA)([A-Z2-7]{16})", 3.0),
    ("github_token", r"gh[pousr]_([A-Za-z0-9]{36,251})", 3.5),
    ("github_token", r"github_pat_([A-Za-z0-9]{22}_[A-Za-z0-9]{59})", 3.5),
    ("gitlab_token", r"gl(?:pat|dt|rt|ptt|soat)-([A-Za-z0-9_\-]{20,64})", 3.2),
    ("slack_token", r"xox[abeoprs]-(?:[0-9]{6,14}-){0,3}([A-Za-z0-9\-]{20,80})", 3.2),
    ("stripe_key", r"(?:sk|rk)_live_([A-Za-z0-9]{20,128})", 3.2),
    ("stripe_webhook", r"whsec_([A-Za-z0-9+/]{32,64})", 3.5),
    ("google_key", r"AIza([A-Za-z0-9_\-]{35})", 3.5),
    ("google_oauth", r"GOCSPX-([A-Za-z0-9_\-]{28})", 3.2),
    ("anthropic_key", r"sk-ant-[a-z0-9]{2,12}-([A-Za-z0-9_\-]{80,120})", 3.5),
    ("openai_key", r"sk-(?:proj-|svcacct-|admin-)?([A-Za-z0-9_\-]{40,200})", 3.8),
    ("huggingface_token", r"hf_([A-Za-z]{34})", 3.5),
    ("npm_token", r"npm_([A-Za-z0-9]{36})", 3.5),
    ("pypi_token", r"pypi-AgE([A-Za-z0-9_\-]{50,400})", 3.5),
    ("sendgrid_key", r"SG\.([A-Za-z0-9_\-]{22}\.[A-Za-z0-9_\-]{43})", 3.8),
    ("twilio_key", r"SK([0-9a-f]{32})", 3.0),
    ("digitalocean_token", r"do[opr]_v1_([0-9a-f]{64})", 3.0),
    ("shopify_token", r"shp(?:at|ca|pa|ss)_([0-9a-fA-F]{32})", 3.0),
    ("telegram_token", r"[0-9]{8,10}:(AA[A-Za-z0-9_\-]{33})", 3.8),
    ("age_key", r"AGE-SECRET-KEY-1([A-Z0-9]{58})", 3.5),
    (
        "jwt",
        r"eyJ[A-Za-z0-9_\-]{10,2000}\.eyJ[A-Za-z0-9_\-]{10,6000}\.([A-Za-z0-9_\-]{20,2000})",
        3.5,
    ),
)
"""Kind, shape with the secret part in its group, and the least entropy of that, bits a letter."""
SLACK_WEBHOOK = r"hooks\.slack\.com/services/(T[A-Z0-9]{6,12}/B[A-Z0-9]{6,12}/[A-Za-z0-9]{20,32})"
AZURE_KEY = r"AccountKey=([A-Za-z0-9+/]{86}==)"


def bounded(kind: str, shape: str) -> str:
    """The shape as it is known in a text: in the midst of a word, or not."""
    return f"{B}{shape}{E}" if kind in COMMON else shape
