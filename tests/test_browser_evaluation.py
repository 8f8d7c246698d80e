"""The tabs Evaluate and Results in a real browser: compose, forecast, run, stop, go on, read.

What answers is a fake server, so that these take no model's time, and answers are known.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fake_openai
import pytest
from fake_openai import FakeServer
from test_browser import (  # noqa: F401 - fixtures
    address,
    browser,
    open_page,
    open_tab,
    pytestmark,
)

if TYPE_CHECKING:
    from playwright.sync_api import Page

OpenPage = Callable[..., "Page"]


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServer]:
    """Serve models that repeat the problem, are refused, or say one word and then nothing."""
    ended = threading.Event()

    class Handler(fake_openai._Handler):
        def _silent(self, request: dict[str, Any]) -> None:
            self._delta("one")
            ended.wait()

    with fake_openai.fake_server() as found:
        found.RequestHandlerClass = Handler
        yield found
        ended.set()


def named(server: FakeServer, model: str) -> str:
    return f"openai-compatible/{model}@{server.url}/v1"


@pytest.fixture
def problems(tmp_path: Path) -> str:
    """Write a suite whose problems hold their solutions: whoever repeats them solves them."""
    rows = [
        {
            "id": f"plus/{number}",
            "text": f"Write this:\n```python\ndef plus(a):\n    return a + {number}\n```\n",
            "tests": {"program": f"assert plus(1) == {number + 1}", "entry_point": "plus"},
            "tags": {"difficulty": "easy" if number < 2 else "hard"},
        }
        for number in range(3)
    ]
    file = tmp_path / "plus.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return str(file)


def compose(page: Page, suite: str, *backends: str, corpus: str | None = None) -> None:
    """Choose suite and backends; with a corpus, each of these once more."""
    page.locator("#eval-suite input").fill(suite)
    page.locator("#eval-suite input").press("Enter")
    field = page.locator("#eval-backends")
    field.locator(".token-remove").last.click()
    for name in backends:
        field.locator("input").fill(name)
        field.locator("input").press("Enter")
    if corpus:
        page.locator("#eval-retrieval button").first.click()
        page.locator("#eval-corpus input").click()
        page.get_by_role("option", name=corpus).click()


def agree(page: Page) -> None:
    """Say that it may cost money: what a server of one's own asks for, nobody knows."""
    page.locator("#eval-more button").first.click()
    page.get_by_label("Run even if it may cost money").check()


def draw(page: Page, picture: str) -> None:
    page.locator("#results-picture input").click()
    page.get_by_role("option", name=picture).click()


def test_an_evaluation_is_forecast_run_and_read(
    open_page: OpenPage,  # noqa: F811
    server: FakeServer,
    problems: str,
) -> None:
    page = open_page()
    open_tab(page, "Evaluate")
    echo, refused = (named(server, model) for model in ("echo", "refused"))
    compose(page, problems, echo, refused, corpus="mine")
    page.locator("#eval-preflight").click()
    page.locator("#eval-table", has_text="12 calls").wait_for()
    assert page.locator("#eval-table td", has_text=f"{echo} + mine/static").count()
    page.locator("#eval-start").click()
    page.locator("#eval-notice .wb-problem", has_text="unknown").wait_for()
    assert server.requests == []
    agree(page)
    page.locator("#eval-start").click()
    page.locator("#eval-notice", has_text="Done: run").wait_for()
    rows = page.locator("#eval-table tbody tr")
    solved, failed = rows.filter(has_text=echo).first, rows.filter(has_text=refused).first
    # All of three, between 0.439 and 1 (Wilson); errors are no zeros.
    assert re.search(r"1\.000\s+0\.439 to 1\.000\s+3\s+0", solved.inner_text())
    assert re.search(r"not judged\s+0\s+3", failed.inner_text())

    open_tab(page, "Results")
    page.locator("#results-table .wb-warn", has_text="3 of 3 are errors").first.wait_for()
    # Solvers with and without hits: what retrieval did is what one wants to see first.
    page.locator("#results-plot", has_text="Does retrieval help?").wait_for()
    page.locator("#results-split li", has_text="makes no difference that could be told").wait_for()
    draw(page, "how answers ended")
    page.locator("#results-plot", has_text="How the answers ended").wait_for()
    draw(page, "by a tag")
    page.locator("#results-split td", has_text="easy").first.wait_for()
    for form, ending in (("HTML report", ".html"), ("CSV", ".csv"), ("LaTeX", ".tex")):
        page.locator("#results-files input").click()
        page.get_by_role("option", name=form).click()
        with page.expect_download() as waiting:
            page.locator("#results-write").click()
        assert waiting.value.suggested_filename.endswith(ending)
        assert echo.partition("@")[0] in Path(waiting.value.path()).read_text(encoding="utf-8")


def test_two_solvers_are_compared_with_both_answers_side_by_side(
    open_page: OpenPage,  # noqa: F811
    server: FakeServer,
    problems: str,
) -> None:
    page = open_page()
    open_tab(page, "Evaluate")
    compose(page, problems, named(server, "echo"), named(server, "without-reason"))
    agree(page)
    page.locator("#eval-start").click()
    page.locator("#eval-notice", has_text="Done: run").wait_for()
    open_tab(page, "Results")
    page.locator("#results-table td", has_text="without-reason").wait_for()
    page.locator("#results-compare").click()
    verdict = page.locator("#results-verdict")
    verdict.get_by_text("3 problems").wait_for()
    assert "annot tell" in verdict.inner_text() and "more problems needed" in verdict.inner_text()
    verdict.locator("summary", has_text="did better than").first.click()
    columns = verdict.locator(".wb-flip").first.locator(".wb-column")
    left, right = (columns.nth(at) for at in (0, 1))
    assert "passed" in left.inner_text() and "return a +" in left.inner_text()
    assert "all of it" in right.inner_text()
    across = [column.bounding_box() for column in (left, right)]
    assert across[0]["y"] == across[1]["y"] and across[0]["x"] < across[1]["x"]  # type: ignore[index]
    draw(page, "all pairs")
    page.locator("#results-split li", has_text="annot tell").wait_for()


def test_a_run_outlives_its_page_and_a_stopped_one_goes_on(
    open_page: OpenPage,  # noqa: F811
    server: FakeServer,
    problems: str,
) -> None:
    begun = open_page()
    open_tab(begun, "Evaluate")
    echo, silent = (named(server, model) for model in ("echo", "silent"))
    compose(begun, problems, echo, silent)
    agree(begun)
    begun.locator("#eval-start").click()
    begun.locator("#eval-notice", has_text="3 of 6 answers").wait_for()
    begun.close()
    # Opened again, the page shows what goes on, and has its settings.
    page = open_page()
    open_tab(page, "Evaluate")
    page.locator("#eval-notice progress").wait_for()
    assert page.locator("#eval-suite input").input_value() == problems
    page.locator("#eval-stop").click()
    page.locator("#eval-notice", has_text="Stopped. 3 answers of run").wait_for()
    asked = [one["model"] for one in server.requests].count("echo")
    field = page.locator("#eval-backends")
    field.locator(".token-remove").nth(1).click()
    page.locator("#eval-more button").first.click()
    page.get_by_label("Run even if it may cost money").check()
    page.locator("#eval-start").click()
    page.locator("#eval-notice", has_text="Done: run").wait_for()
    assert [one["model"] for one in server.requests].count("echo") == asked
    # So do the settings of a run that nobody watches any more.
    page.locator("#eval-earlier input").click()
    page.get_by_role("option").first.click()
    page.locator("#eval-notice", has_text="These are its settings").wait_for()


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
