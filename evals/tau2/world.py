"""The outside world: a process that holds every environment, and outlives every worker.

It never deduplicates. A key is a label in its journal, which whoever knows the key may read.
"""

from __future__ import annotations

import json
import selectors
import socket
import threading
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from io import BufferedReader
from multiprocessing.connection import Connection
from typing import Any

from .domains import DOMAINS, Domain, State, Tau2Missing


@dataclass(frozen=True)
class Entry:
    """One execution of a tool that has effects."""

    key: str | None
    tool: str
    text: str
    refused: bool
    changed: bool


class World:
    """What a worker, or the person who judges, may ask. `place` is column/domain/task."""

    def __init__(self) -> None:
        self.domains = {name: Domain(name) for name in DOMAINS}
        self.effects = {t["name"] for d in self.domains.values() for t in d.tools if t["effect"]}
        self.states: dict[str, State] = {}
        self.journal: dict[str, list[Entry]] = defaultdict(list)
        self.by_key: dict[str, Entry] = {}
        self.deliveries: Counter[tuple[str, str]] = Counter()
        self.done: set[str] = set()
        self.looks: Counter[str] = Counter()
        self.questions: set[tuple[str, str, int]] = set()

    def tools(self, domain: str) -> list[dict[str, Any]]:
        return self.domains[domain].tools

    def tasks(self) -> list[str]:
        return [f"{name}/{task}" for name, d in self.domains.items() for task in d.tasks]

    def actions(self, place: str) -> list[dict[str, Any]]:
        _, domain, task = place.split("/")
        return [asdict(action) for action in self.domains[domain].tasks[task]]

    def use(
        self, place: str, tool: str, arguments: dict[str, Any], key: str | None
    ) -> dict[str, Any]:
        """Carry out a tool, as often as one is asked to."""
        state = self._state(place)
        if tool not in self.effects:
            text, refused = state.use(tool, arguments)
            return {"text": text, "refused": refused}
        before = state.changes()
        text, refused = state.use(tool, arguments)
        entry = Entry(key, tool, text, refused, state.changes() != before)
        self.journal[place].append(entry)
        if key is not None and not refused:
            self.by_key[key] = entry
        return {"text": text, "refused": refused}

    def look(self, key: str) -> str | None:
        """What was answered to a call with this key, None if it was not carried out."""
        entry = self.by_key.get(key)
        self.looks["found" if entry else "not found"] += 1
        return entry.text if entry else None

    def delivered(self, place: str, call: str) -> int:
        """Bookkeeping: the node has ended with this call so many times."""
        self.deliveries[place, call] += 1
        return self.deliveries[place, call]

    def question(self, place: str, key: str, version: int) -> None:
        """Bookkeeping: a person was asked. LangGraph may show a question until its task ends."""
        self.questions.add((place, key, version))

    def finish(self, place: str) -> None:
        self.done.add(place)

    def finished(self, column: str) -> list[str]:
        return [place for place in self.done if place.startswith(f"{column}/")]

    def looked(self) -> dict[str, int]:
        """The answers given by `look` since the last time."""
        looks, self.looks = self.looks, Counter()
        return dict(looks)

    def verdict(self, place: str) -> dict[str, Any]:
        """How the environment ended, and everything that was done to it."""
        _, domain, task = place.split("/")
        known = self.domains[domain]
        return {
            "diverges": known.hash(self._state(place)) != known.gold(task),
            "journal": [asdict(entry) for entry in self.journal[place]],
            "deliveries": [n for (p, _), n in self.deliveries.items() if p == place],
            "questions": sum(p == place for p, *_ in self.questions),
        }

    def intact(self) -> bool:
        """Whether the environments were really apart from each other."""
        return all(domain.is_intact() for domain in self.domains.values())

    def _state(self, place: str) -> State:
        if place not in self.states:
            self.states[place] = self.domains[place.split("/")[1]].fresh()
        return self.states[place]


def serve(address: str, ready: Connection) -> None:
    """The life of the world's process. Requests and answers are lines of JSON."""
    try:
        world = World()
    except Tau2Missing as error:
        ready.send(str(error))
        return
    server = Server(world, address)
    ready.send(None)
    while True:
        server.handle_ready(None)


class Server:
    """One request at a time, in one thread."""

    def __init__(self, world: World, address: str) -> None:
        self.world = world
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(address)
        self.listener.listen(64)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ)

    def handle_ready(self, timeout: float | None, but: socket.socket | None = None) -> bool:
        """Serve whoever has asked by now; False if nobody has."""
        found = [k for k, _ in self.selector.select(timeout) if k.fileobj is not but]
        for key in found:
            if key.fileobj is self.listener:
                client, _ = self.listener.accept()
                lines = client.makefile("rb")
                self.selector.register(client, selectors.EVENT_READ, lines)
            elif key.fd in self.selector.get_map():
                self._handle(key.fileobj, key.data)
        return bool(found)

    def _handle(self, client: Any, lines: BufferedReader) -> None:
        try:
            line = lines.readline()
            if not line.endswith(b"\n"):  # its process has ended, perhaps in mid-sentence
                raise ConnectionError
            request = json.loads(line)
            if request["do"] == "look":
                # "It did not happen" must also mean "and it is not under way": what a dead
                # worker has sent may still wait in its socket.
                while self.handle_ready(0, but=client):
                    pass
            answer = getattr(self.world, request["do"])(**request["with"])
            client.sendall(json.dumps(answer).encode() + b"\n")
        except ConnectionError:
            self.selector.unregister(client)
            client.close()


class Client:
    """The world, from a worker's side."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(address)
        self.lines = self.socket.makefile("rb")
        self.lock = threading.Lock()

    def ask(self, do: str, **arguments: Any) -> Any:
        """Call a method of `World`."""
        with self.lock:
            self.socket.sendall(json.dumps({"do": do, "with": arguments}).encode() + b"\n")
            line = self.lines.readline()
        if not line:
            raise ConnectionError("the world has ended")
        return json.loads(line)
