"""PostgresSaver on our pool: as many writers as connections, sync and async, strict types."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import nullcontext
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from ..core.database import Connection, Database

SETUP_LOCK = 0x6C675F71  # "lg_q": LangGraph's own migrations cannot run twice at a time


class Checkpointer(PostgresSaver):
    """A PostgresSaver on a `Database`, for `compile(checkpointer=…)`; call `setup()` once.

    A PostgresSaver holds one lock for all its callers, pool or not (langgraph #7259). This
    one has none: the pool gives every operation a connection of its own. The async methods
    run in the database's threads, so one object serves `invoke` and `ainvoke` on any loop.

    Its serializer revives no class that a row merely names: LangChain's and the standard
    library's values, the classes given as `types`, and, under LANGGRAPH_STRICT_MSGPACK=true,
    those that the graph's schema declares. Others come back as plain dicts, with a warning
    in the log.
    """

    def __init__(self, database: Database, *, types: Sequence[type] = ()) -> None:
        names = [(t.__module__, t.__qualname__) for t in types]
        serde = JsonPlusSerializer(allowed_msgpack_modules=names or None)
        super().__init__(cast("Any", database.pool), serde=serde)
        self.database = database
        self.lock = cast("Any", nullcontext())

    def setup(self) -> None:
        """Create LangGraph's tables. Safe to call twice, and from many processes at once."""
        with self.database.connection() as connection:
            # Try, do not wait: a waiting statement is a transaction, for whose end the
            # CREATE INDEX CONCURRENTLY of the process that holds the lock would wait.
            while not _taken(connection):
                time.sleep(0.05)
            try:
                super().setup()
            finally:
                connection.execute("SELECT pg_advisory_unlock(%s)", (SETUP_LOCK,))

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """`get_tuple`, off the event loop."""
        return await self.database.arun(lambda: self.get_tuple(config))

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - LangGraph's name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """`list`, off the event loop."""
        found = await self.database.arun(
            lambda: [*self.list(config, filter=filter, before=before, limit=limit)]
        )
        for checkpoint in found:
            yield checkpoint

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """`put`, off the event loop."""
        return await self.database.arun(
            lambda: self.put(config, checkpoint, metadata, new_versions)
        )

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """`put_writes`, off the event loop."""
        await self.database.arun(lambda: self.put_writes(config, writes, task_id, task_path))

    async def adelete_thread(self, thread_id: str) -> None:
        """`delete_thread`, off the event loop."""
        await self.database.arun(lambda: self.delete_thread(thread_id))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """`prune`, off the event loop."""
        await self.database.arun(lambda: self.prune(thread_ids, strategy=strategy))

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Any:
        """`get_delta_channel_history`, off the event loop."""
        return await self.database.arun(
            lambda: self.get_delta_channel_history(config=config, channels=channels)
        )


def _taken(connection: Connection) -> bool:
    row = connection.execute("SELECT pg_try_advisory_lock(%s)", (SETUP_LOCK,)).fetchone()
    return bool(row and row[0])
