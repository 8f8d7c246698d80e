"""The tabs Evaluate and Results in a real browser: compose, forecast, run, stop, go on, read."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from test_browser import (  # noqa: F401 - fixtures
    LONG,
    MODEL,
    address,
    browser,
    open_page,
    open_tab,
    pytestmark,
)

if TYPE_CHECKING:
    from playwright.sync_api import Page

OpenPage = Callable[..., "Page"]


def compose(page: Page, *, limit: int, longest: int, corpus: str | None = None) -> None:
    """Choose the small model, few problems and short answers; with a corpus, a second solver."""
    page.locator("#eval-limit input").fill(str(limit))
    page.locator("#eval-limit input").blur()
    field = page.locator("#eval-backends")
    field.get_by_role("button", name="Clear").or_(field.locator(".token-remove").last).first.click()
    field.locator("input").fill(MODEL)
    field.locator("input").press("Enter")
    page.locator("#eval-more button").first.click()
    page.locator("#eval-more input[type=number]").nth(2).fill(str(longest))
    page.locator("#eval-more input[type=number]").nth(2).blur()
    if corpus:
        page.locator("#eval-retrieval button").first.click()
        page.locator("#eval-corpus input").click()
        page.get_by_role("option", name=corpus).click()


def test_an_evaluation_is_forecast_run_and_read(open_page: OpenPage) -> None:  # noqa: F811
    page = open_page()
    open_tab(page, "Evaluate")
    compose(page, limit=2, longest=40, corpus="mine")
    page.locator("#eval-preflight").click()
    page.locator("#eval-notice", has_text="4 calls").wait_for()
    assert page.locator("#eval-table td", has_text=f"{MODEL} + mine/static").count()
    page.locator("#eval-start").click()
    page.locator("#eval-notice", has_text="Done: run").wait_for(timeout=2 * LONG)
    table = page.locator("#eval-table")
    assert re.search(r"\d\.\d{3} to \d\.\d{3}", table.inner_text())
    assert table.locator("th", has_text="pass@1").count()

    open_tab(page, "Results")
    page.locator("#results-table td", has_text=f"{MODEL} + mine/static").wait_for()
    # Solvers with and without hits: what retrieval did is what one wants to see first.
    page.locator("#results-plot", has_text="Does retrieval help?").wait_for()
    page.locator("#results-compare").click()
    page.locator("#results-verdict", has_text="2 problems").wait_for()
    page.locator("#results-picture input").click()
    page.get_by_role("option", name="how answers ended").click()
    page.locator("#results-plot", has_text="How the answers ended").wait_for()
    page.locator("#results-picture input").click()
    page.get_by_role("option", name="by a tag").click()
    page.locator("#results-split td", has_text="easy").first.wait_for()
    page.locator("#results-write").click()
    page.locator("#results-notice", has_text="Written").wait_for()
    with page.expect_download() as waiting:
        page.locator("#results-write").click()
    assert waiting.value.suggested_filename.endswith(".html")


def test_a_stopped_evaluation_keeps_what_is_done_and_goes_on(open_page: OpenPage) -> None:  # noqa: F811
    page = open_page()
    open_tab(page, "Evaluate")
    compose(page, limit=5, longest=150)
    page.locator("#eval-start").click()
    page.locator("#eval-notice progress").first.wait_for(timeout=2 * LONG)
    page.locator("#eval-stop").click()
    page.locator("#eval-notice", has_text="Stopped. What was answered").wait_for()
    page.locator("#eval-start").click()
    page.locator("#eval-notice", has_text="Done: run").wait_for(timeout=3 * LONG)
    assert page.locator("#eval-table td", has_text="5").count()


def test_what_is_wrong_is_one_line_and_nothing_runs(open_page: OpenPage) -> None:  # noqa: F811
    page = open_page()
    open_tab(page, "Evaluate")
    page.locator("#eval-suite input").fill("humanevil")
    page.locator("#eval-suite input").press("Enter")
    page.locator("#eval-start").click()
    notice = page.locator("#eval-notice .wb-problem")
    notice.wait_for()
    assert "humaneval" in notice.inner_text() and "\n" not in notice.inner_text().strip()
    assert page.locator("#eval-start").is_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_both_tabs_fit_their_window(open_page: OpenPage, width: int, theme: str) -> None:  # noqa: F811
    page = open_page(width, theme)
    for tab, part in (("Evaluate", "#eval-start"), ("Results", "#results-compare")):
        open_tab(page, tab)
        page.locator(part).wait_for()
        assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
