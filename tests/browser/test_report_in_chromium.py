"""A report of an evaluation in a real browser: it works without a script, and runs none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from lg_production.evaluation.html import html
from tests.evaluation.report_for_tests import HOSTILE, report, trial

sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine"),
]


@pytest.fixture
def page(tmp_path) -> Iterator[Any]:
    """The page of three cases, one of which failed with hostile words."""
    found = report([1, 0, 1])
    bad = trial("c-1", 0, False, HOSTILE, error=HOSTILE)
    changed = replace(found, trials=(found.trials[0], bad, found.trials[2]))
    file = tmp_path / "report.html"
    file.write_text(html(changed), encoding="utf-8")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.seen = []
        page.on("request", lambda request: page.seen.append(request.url))
        page.on("dialog", lambda dialog: page.seen.append(dialog.message))
        page.on("console", lambda message: page.seen.append(message.text))
        page.goto(file.as_uri())
        yield page
        browser.close()


def test_a_square_of_the_map_leads_to_its_case(page):
    """And unfolds it."""
    sync_api.expect(page.locator("#c-1")).to_be_hidden()
    page.locator(".map a.failed").click()

    sync_api.expect(page.locator("#c-1")).to_be_visible()
    sync_api.expect(page.locator("#c-1")).to_contain_text("no such call")


def test_what_is_shown_can_be_narrowed(page):
    """To what failed, or to a split."""
    shown = page.locator("details.case:visible")
    counts = []
    for choice in ("Failed 1", "happy 2", "edge 1", "All 3"):
        page.get_by_text(choice, exact=True).click()
        counts.append(shown.count())

    assert [1, 2, 1, 3] == counts


def test_nothing_is_loaded_and_nothing_runs(page):
    """No request but for the page, no dialog, and no complaint of the browser's."""
    page.locator(".map a.failed").click()

    assert [True] == [seen.startswith("file:") for seen in page.seen]
    assert "undefined" == page.evaluate("typeof window.y")
