"""2. State persistence: checkpoints in the ledger's own database."""

from .checkpointing import Checkpointer

__all__ = ["Checkpointer"]
