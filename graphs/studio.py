"""What langgraph.json names beside the graphs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from graphs.database import shared_database
from lg_production import Checkpointer


@asynccontextmanager
async def checkpointer() -> AsyncIterator[Checkpointer]:
    """Checkpoints beside the ledger: an effect waits until the one that asked for it is there."""
    database = await asyncio.to_thread(shared_database)
    saver = Checkpointer(database)
    await asyncio.to_thread(saver.setup)
    yield saver
