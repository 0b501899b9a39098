"""What goes to LangSmith: in a process of its own, with a server that records whatever it is sent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
PROGRAM = """
import json, os, sys, threading, warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

warnings.simplefilter("ignore")
sent = []


class Handler(BaseHTTPRequestHandler):
    def answer(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        sent.append(f"{self.command} {self.path} {len(body)}")
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_GET = do_POST = do_PATCH = answer

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ |= {"LANGSMITH_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "LANGSMITH_API_KEY": "x"}

from langchain_core.tracers.langchain import wait_for_all_tracers
from langsmith import evaluate
from langsmith.run_helpers import tracing_context
from lg_production.evaluation import langsmith as adapter
from lg_production.evaluation.judges import Judge
from lg_production.evaluation.playing import play
from lg_production.evaluation.running import Runner
from lg_production.evaluation.scripted import ScriptedChatModel
from lg_production.evaluation.targets import target_of
from tests.evaluation.agent_for_tests import builder, case, suite

model = ScriptedChatModel(lambda _: "reason: fine\\nscore: 8", model_name="j-20260101")
judge = Judge.of("acme", "j", "20260101", model, "Be fair.")
target = target_of(builder)
scores = []
for timeout in (None, 20):
    rows = evaluate(
        adapter.target_of(lambda one: play(target, one, timeout=timeout)),
        data=adapter.examples_of(suite(case("good", "trip"))),
        evaluators=[adapter.behaviours, adapter.judge_evaluator(judge)], upload_results=False,
    )
    scores += [found.score for row in rows for found in row["evaluation_results"]["results"]]
rows = evaluate(
    adapter.target_of(lambda one: Runner(builder, suite(one)).run().trials[0].outcome),
    data=adapter.examples_of(suite(case("good", "trip"))),
    evaluators=[adapter.behaviours], upload_results=False,
)
scores += [found.score for row in rows for found in row["evaluation_results"]["results"]]
wait_for_all_tracers()
told = [*sent]
with tracing_context(enabled=True):
    builder().compile().invoke({"messages": [("user", "trip")]})
wait_for_all_tracers()
print(json.dumps({"scores": scores, "sent": told, "traced": sent[len(told):]}))
sys.stdout.flush()
os._exit(0)
"""


@pytest.mark.slow
@pytest.mark.parametrize("tracing", ["", "false", "true"])
def test_nothing_is_sent_where_nothing_is_to_be_uploaded(tracing: str) -> None:
    """Whatever the environment says; in a thread of its own, too. A run that is traced is seen.

    LangSmith's own client asks what its server can do, and says nothing.
    """
    found = sends(tracing)

    assert [1, 0.8, 1, 0.8, 1] == found["scores"]
    assert [] == [one for one in found["sent"] if one != "GET /info 0"]
    assert any(one.startswith("POST /runs") for one in found["traced"])


def sends(tracing: str) -> Any:
    """What the program says, with LANGSMITH_TRACING so."""
    others = {k: v for k, v in os.environ.items() if not k.startswith(("LANGSMITH", "LANGCHAIN"))}
    own = {"PYTHONPATH": str(ROOT), **({"LANGSMITH_TRACING": tracing} if tracing else {})}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env={**others, **own}, cwd=ROOT,
                          capture_output=True, text=True, check=False, timeout=240)  # fmt: skip

    assert 0 == done.returncode, done.stderr[-3_000:]
    return json.loads(done.stdout.splitlines()[-1])
