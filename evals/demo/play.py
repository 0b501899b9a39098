"""Set the stage, and play every incident in both columns."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psycopg
from langgraph.checkpoint.postgres import PostgresSaver
from psycopg import sql

from evals.demo.burning import Purse, burn
from evals.demo.incidents import CLICKERS, INCIDENTS, UNDECLARED, Incident
from evals.demo.mailing import INCIDENTS as MAIL
from evals.demo.mailing import Correspondence, attend_to
from evals.demo.report import Mailing, Progressing, Result, Spending
from evals.demo.stage import Stage, Stuck
from evals.demo.worker import Column, Setting
from graphs.airline import airline
from graphs.models import chat_model
from lg_production import Checkpointer, Database
from lg_production.core.embedded import OpensDirectories, embedded_server

AT_A_TIME = 4
COLUMNS: tuple[Column, ...] = ("plain", "lg_production")


def play_all(
    model: str, progressing: Progressing
) -> tuple[list[Result], list[Spending], list[Mailing]]:
    """Every incident in both columns, a few at a time; then the one that spends tokens."""
    chat_model(model)  # a model that cannot be had is told once, not once a run
    with databases() as urls, tempfile.TemporaryDirectory() as records:
        runs = [(i, column) for i in (*INCIDENTS, UNDECLARED, CLICKERS) for column in COLUMNS]
        letters = [(one, column) for one in MAIL for column in COLUMNS]
        progressing.begin(len(runs) + len(letters) + len(COLUMNS))

        def play_one(run: tuple[Incident, Column]) -> Result:
            incident, column = run
            record = Path(records) / f"{incident.name}-{column}.jsonl"
            return play(incident, column, urls[column], record, model, progressing)

        def spend(column: Column) -> Spending:
            purse = Purse(column, urls[column], Path(records) / f"g-{column}.jsonl")
            spending = burn(purse, lambda text: progressing.say("g", column, text))
            progressing.spent(spending)
            return spending

        def write(run: tuple[Correspondence, Column]) -> Mailing:
            one, column = run
            root = Path(records) / f"{one.name}-{column}"
            tell = partial(progressing.say, one.name, column)
            mailing = attend_to(one, column, urls[column], root, tell)
            progressing.mailed(mailing)
            return mailing

        with ThreadPoolExecutor(AT_A_TIME) as threads:
            played, written = threads.map(play_one, runs), threads.map(write, letters)
            results, mailing = list(played), list(written)
            return results, list(threads.map(spend, COLUMNS)), mailing


def play(
    incident: Incident,
    column: Column,
    url: str,
    record: Path,
    model: str,
    progressing: Progressing,
) -> Result:
    """One incident in one column, with an airline of its own."""
    remark = error = ""
    with airline(record, timeout=incident.client_timeout) as an_airline:
        setting = Setting(
            column,
            url,
            an_airline,
            incident.name,
            model,
            incident.confirm,
            incident.declared,
            incident.people,
        )
        stage = Stage(setting, lambda text: progressing.say(incident.name, column, text))
        try:
            remark = incident.play(stage)
        except Stuck as stuck:
            error = str(stuck)
        finally:
            stage.close()
        booked = tuple(stage.booked())
    result = Result(
        incident.name, incident.title, incident.happened, column, incident.wanted, booked,
        remark, error or stage.failure,
    )  # fmt: skip
    progressing.end(result)
    return result


@contextmanager
def databases() -> Iterator[dict[Column, str]]:
    """A database for each column, on a PostgreSQL of our own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OpensDirectories)  # a directory of ours, for a minute
        with embedded_server() as url:
            urls = {column: create(url, column) for column in COLUMNS}
            with PostgresSaver.from_conn_string(urls["plain"]) as saver:
                saver.setup()
            with Database(urls["lg_production"]) as database:
                database.migrate()
                Checkpointer(database).setup()
            yield urls


def create(url: str, name: str) -> str:
    """A new database on this server, by URL."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return url.replace("/postgres?", f"/{name}?")
