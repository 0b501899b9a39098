"""A person decides in a real browser, against LangGraph's dev server: `make test-browser`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
PAGE = Path(__file__).parent / "page.html"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WISH = {"messages": [{"role": "user", "content": "Find a flight to Lisbon and book it"}]}
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine"),
]


@pytest.fixture
def page(server: str, client: Any) -> Iterator[Any]:
    """A page that shows the question of a thread in which a booking waits."""
    assistant = client.assistants.search(graph_id="booking")[0]["assistant_id"]
    thread = client.threads.create()["thread_id"]
    client.runs.wait(thread, assistant, input=WISH)
    query = urlencode({"api": server, "thread": thread, "assistant": assistant})
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--no-proxy-server"]
        )
        page = browser.new_page()
        page.goto(f"{PAGE.as_uri()}?{query}")
        sync_api.expect(page.locator("#question")).to_contain_text("book_flight", timeout=30_000)
        yield page
        browser.close()


def booked(an_airline: Any) -> list[str]:
    return [booking["flight"] for booking in an_airline.bookings()]


def outcome(page: Any, text: str) -> None:
    """Wait until the page says so."""
    sync_api.expect(page.locator("#outcome")).to_contain_text(text, timeout=60_000)


def test_approve_books_once(page: Any, an_airline: Any) -> None:
    """A double click is one booking."""
    page.locator("#approve").dblclick()
    outcome(page, "Booked TP1234")

    assert ["TP1234"] == booked(an_airline)


def test_edit_books_the_other_flight(page: Any, an_airline: Any) -> None:
    """What the person typed is what runs."""
    page.locator("#arguments").fill('{"flight": "LH1166"}')
    page.locator("#edit").click()
    outcome(page, "Booked LH1166")

    assert ["LH1166"] == booked(an_airline)


def test_reject_books_nothing(page: Any, an_airline: Any) -> None:
    """And the agent says why."""
    page.locator("#reject").click()
    outcome(page, "too early")

    assert [] == booked(an_airline)
