"""The page in a real browser, over real models: what a person sees and presses."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import REAL_MODELS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.models,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH (apt install chromium)"),
]

# One thread: on a busy machine two of them wait for each other at every token.
MODEL = "llama-cpp/smollm2-135m"
ENVIRONMENT = {"WORKBENCH_THREADS": "1", "GRADIO_ANALYTICS_ENABLED": "False"}
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run"
    " --disable-background-networking --disable-component-update --disable-sync"
)
LONG = 60_000  # milliseconds that an answer of a small model may take on a busy machine


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the page over a home with real models and a small corpus."""
    if not REAL_MODELS.is_dir():
        pytest.fail(f"no weights in {REAL_MODELS}; run: make install")
    folder = tmp_path_factory.mktemp("browser")
    home = folder / "home"
    home.mkdir()
    (home / "models").symlink_to(REAL_MODELS, target_is_directory=True)
    code = folder / "code"
    code.mkdir()
    library = sysconfig.get_path("stdlib")
    (code / "intervals.py").write_text(CODE, encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, **ENVIRONMENT, "WORKBENCH_HOME": str(home)}
    prepare = (
        "from workbench import api;"
        f"api.crawl('mine', {f'folder:{code}'!r}); api.index('mine', 'static');"
        # Two packages of the standard library: enough documented functions to ask for. Named so
        # that it comes after the other, which stays the first choice.
        f"api.crawl('study', *{[f'folder:{library}/{name}' for name in ('email', 'asyncio')]!r});"
        "api.index('study', 'static')"
    )
    subprocess.run([sys.executable, "-c", prepare], env=environment, check=True, timeout=120)
    serve = f"from workbench.ui import launch; launch(port={port})"
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-c", serve], env=environment, stdout=log, stderr=log
        )
        try:
            wait_until(lambda: listens(port), 60, lambda: (folder / "log").read_text())
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(20)


CODE = '''\
def merge_intervals(intervals):
    """Merge overlapping intervals, given as pairs."""
    merged = []
    for start, end in sorted(intervals):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
'''


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(true: Callable[[], bool], seconds: float, why: Callable[[], str] = str) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"waited for {seconds} s: {why()}"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Browser, address: str) -> Iterator[Callable[..., Page]]:
    """Open the page; afterwards hold that it was silent and asked nobody else."""
    pages: list[Page] = []
    complaints: list[str] = []
    strangers: list[str] = []

    def watch(request: Any) -> None:
        if not request.url.startswith((address, "data:", "blob:")):
            strangers.append(request.url)

    def listen(message: Any) -> None:
        if message.type == "error":
            complaints.append(message.text)

    def open_one(width: int = 1280, theme: str = "light") -> Page:
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.set_default_timeout(LONG)
        page.on("request", watch)
        page.on("console", listen)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        # Once it is shown, the page asks what is here now and fills its fields: what was chosen
        # before that answer has come would be overwritten.
        filled: list[str] = []
        for ending in ("requestfinished", "requestfailed"):  # the page hangs up when it has all
            page.on(ending, lambda ended: "/queue/data" in ended.url and filled.append(ended.url))
        page.goto(f"{address}/?__theme={theme}")
        page.locator("#run").wait_for()
        while not filled:  # the suite's own timeout ends this
            page.wait_for_timeout(50)
        pages.append(page)
        return page

    yield open_one
    for page in pages:
        page.close()
    assert strangers == []
    assert complaints == []


def open_tab(page: Page, name: str) -> None:
    tab = page.get_by_role("tab", name=name, exact=True)
    if tab.is_visible():
        tab.click()
    else:  # in a narrow window Gradio moves the last tabs into a menu
        page.get_by_label("More tabs").click()
        page.locator(".overflow-dropdown").get_by_role("button", name=name, exact=True).click()


def choose_backend(page: Page, name: str) -> None:
    backend = page.get_by_label("Backend 1")
    backend.fill(name)
    page.get_by_role("option", name=name, exact=True).click()
    assert backend.input_value() == name


def choose_model(page: Page, tokens: int) -> None:
    choose_backend(page, MODEL)
    if not page.get_by_label("Most tokens").is_visible():
        page.locator("#sampling > button").click()
    page.get_by_label("Most tokens").fill(str(tokens))


def pane(page: Page, at: int) -> Any:
    return page.locator(f"#pane-{at} .wb-pane")


def finish(page: Page) -> None:
    page.locator("#run").wait_for(timeout=LONG)


def example(page: Page, label: str) -> None:
    page.locator("#examples").get_by_text(label).click()
    page.locator("#stop").wait_for()


# Notes how long the text is whenever the page changes while the model writes.
WATCH_WRITING = """() => {
    window.lengths = [];
    new MutationObserver(() => {
        const body = document.querySelector("#pane-0 [data-status=writing] .wb-body");
        if (body && body.innerText) lengths.push(body.innerText.length);
    }).observe(document.querySelector("#pane-0"), {
        characterData: true, childList: true, subtree: true
    });
}"""


@pytest.mark.parametrize(
    ("label", "ending"),
    [
        ("Generate: merge overlapping intervals", ".py"),
        ("Summarize: runs of equal values", ".md"),
        ("Translate: Python to Java", ".java"),
    ],
)
def test_an_example_of_each_task_streams_and_is_answered(
    open_page: Callable[..., Page], label: str, ending: str
) -> None:
    page = open_page()
    choose_model(page, 48)
    page.evaluate(WATCH_WRITING)
    example(page, label)
    finish(page)
    lengths = page.evaluate("lengths")
    assert len(set(lengths)) >= 2, f"the text did not grow while it came: {lengths}"
    assert pane(page, 0).get_attribute("data-status") == "done"
    assert pane(page, 1).get_attribute("data-status") == "done"
    with page.expect_download() as saved:
        pane(page, 0).get_by_role("button", name="Download").click()
    assert saved.value.suggested_filename == f"llama-cpp-smollm2-135m{ending}"
    assert Path(saved.value.path()).read_text(encoding="utf-8").strip()


def test_stop_stops_and_the_next_run_answers(open_page: Callable[..., Page]) -> None:
    page = open_page()
    choose_model(page, 1500)
    page.locator("#text textarea").fill("Write a text adventure with forty rooms. Print them all.")
    page.locator("#run").click()
    page.wait_for_function(
        "document.querySelector('#pane-0 [data-status=writing] .wb-body')?.innerText.length > 20"
    )
    pressed = time.monotonic()
    page.locator("#stop").click()
    page.locator("#pane-0 [data-status=stopped]").wait_for()
    assert time.monotonic() - pressed < 2
    finish(page)
    kept = pane(page, 0).inner_text()
    assert len(kept) > 20
    page.wait_for_timeout(1500)
    assert pane(page, 0).inner_text() == kept
    choose_model(page, 4)
    page.locator("#run").click()
    page.locator("#pane-0 [data-status=done]").wait_for(timeout=30_000)
    assert page.locator("#text textarea").input_value().startswith("Write a text adventure")


def test_sources_unfold_and_two_answers_can_be_compared(open_page: Callable[..., Page]) -> None:
    page = open_page()
    choose_model(page, 24)
    example(page, "Generate: merge overlapping intervals")
    finish(page)
    sources = page.locator("#pane-1 .wb-sources")
    sources.locator("summary").first.click()
    sources.locator("summary").get_by_text("intervals.py:1-9").click()
    assert "def merge_intervals" in sources.locator("pre").first.inner_text()
    page.locator("#difference > button").click()
    diff = page.locator("#diff")
    diff.get_by_text(f"--- {MODEL}").wait_for()
    for label, name in (("#diff-a", "retrieval"), ("#diff-b", MODEL)):
        page.locator(label).get_by_role("combobox").click()
        page.locator(label).get_by_role("option", name=name).click()
    diff.get_by_text("--- retrieval").wait_for()


def test_what_is_wrong_is_said_and_nothing_typed_is_lost(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.locator("#run").click()
    page.locator("#notice").get_by_text("Say what the program should do.").wait_for()
    page.locator("#text textarea").fill("add two numbers")
    page.get_by_label("Backend 1").fill("llamacpp/smollm2-135m")
    page.get_by_label("Backend 1").press("Enter")
    page.locator("#run").click()
    page.locator("#notice").get_by_text("Did you mean").wait_for()
    finish(page)
    assert page.locator("#text textarea").input_value() == "add two numbers"
    assert page.get_by_label("Backend 1").input_value() == "llamacpp/smollm2-135m"


def test_panes_come_and_go_between_two_and_four(open_page: Callable[..., Page]) -> None:
    page = open_page()
    for count in (3, 4):
        page.locator("#more").click()
        page.locator(f"#pane-{count - 1}").wait_for()
    assert page.locator("#more").is_disabled()
    page.locator("#fewer").click()
    page.locator("#pane-3").wait_for(state="hidden")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_page_fits_its_window(open_page: Callable[..., Page], width: int, theme: str) -> None:
    page = open_page(width, theme)
    overflow = "document.documentElement.scrollWidth - window.innerWidth"
    choose_backend(page, "retrieval")
    example(page, "Generate: merge overlapping intervals")
    finish(page)
    answered = page.locator("#panes [data-status=done]").count()
    assert answered == 2, page.locator("body").inner_text()
    page.locator("#difference > button").click()
    assert page.evaluate(overflow) <= 0
    assert page.evaluate("document.body.classList.contains('dark')") == (theme == "dark")
    open_tab(page, "Corpora")
    page.locator("#query textarea, #query input").first.fill("merge intervals")
    page.locator("#search").click()
    page.locator("#hits details").first.click()
    assert page.evaluate(overflow) <= 0


def test_an_index_is_built_on_the_page(open_page: Callable[..., Page]) -> None:
    page = open_page()
    open_tab(page, "Corpora")
    page.get_by_label("Chunker").fill("lines")
    page.get_by_label("Chunker").press("Enter")
    page.locator("button#index").click()
    page.locator("#corpora-notice").get_by_text("mine:").wait_for()
    page.locator("#corpora-table").get_by_text("static, lines").wait_for()


def open_lab(page: Page) -> None:
    open_tab(page, "Retrieval")
    suite = page.locator("#suite input")
    suite.fill("study")
    page.get_by_role("option", name="mined from study", exact=True).click()


def measure(page: Page) -> None:
    page.locator("#measure").click()
    page.locator("#study li").first.wait_for()
    page.locator("#measure").wait_for()


def test_a_study_fills_its_table_gives_verdicts_and_draws(open_page: Callable[..., Page]) -> None:
    page = open_page()
    open_lab(page)
    measure(page)
    arms = page.locator("#study tbody td:first-child").all_inner_texts()
    assert sorted(arms) == ["bm25", "static dense", "static hybrid"]
    verdicts = page.locator("#study li").all_inner_texts()
    assert any("beats" in line or "within noise" in line for line in verdicts)
    page.locator("#study-plot .textpoint").first.wait_for()
    drawn = page.locator("#study-plot .textpoint").all_text_contents()
    assert sorted(drawn) == sorted(arms)
    page.locator("#study-cost").get_by_text("seconds to build").click()
    page.locator("#study-plot .xtitle").get_by_text("seconds to build").wait_for()
    # What was measured is kept: the second time it is there at once, the same to the digit.
    before = page.locator("#study table").inner_text()
    measure(page)
    assert page.locator("#study table").inner_text() == before


def test_a_query_is_inspected_and_a_corpus_is_mapped(open_page: Callable[..., Page]) -> None:
    page = open_page()
    open_lab(page)
    measure(page)
    page.locator("#inspector > button").click()
    page.locator("#inspected input").click()
    page.get_by_role("option").first.click()
    page.locator("#inspect").click()
    columns = page.locator("#inspection .wb-column")
    columns.first.wait_for()
    assert columns.count() == 3
    assert "def " in page.locator("#inspection .wb-body pre").first.text_content()
    columns.first.locator("summary").first.click()
    assert columns.first.locator("pre").first.inner_text().strip()
    page.locator("#mapping > button").click()
    page.locator("#mapped input[role=listbox], #mapped input").first.click()
    page.get_by_role("option", name="study", exact=True).click()
    page.locator("#draw-map").click()
    page.locator("#map .legendtext").get_by_text("asyncio").first.wait_for(state="attached")


def test_what_is_wrong_in_the_lab_is_one_line(open_page: Callable[..., Page]) -> None:
    page = open_page()
    open_tab(page, "Retrieval")
    page.locator("#suite input").fill("cosqqa")
    page.locator("#suite input").press("Enter")
    page.locator("#measure").click()
    page.locator("#study-notice").get_by_text("No suite is called").wait_for()
    page.locator("#measure").wait_for()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_lab_fits_its_window(open_page: Callable[..., Page], width: int, theme: str) -> None:
    page = open_page(width, theme)
    open_lab(page)
    measure(page)
    page.locator("#study-plot .textpoint").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


def test_a_crawl_on_the_page_shows_what_was_left_out(
    open_page: Callable[..., Page], tmp_path: Path
) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "a.py").write_text(CODE, encoding="utf-8")
    (tmp_path / "tests" / "test_a.py").write_text(CODE, encoding="utf-8")
    page = open_page()
    open_tab(page, "Corpora")
    page.get_by_label("Corpus").first.fill("fresh")
    page.get_by_label("Corpus").first.press("Enter")
    page.get_by_label("Sources").fill(f"folder:{tmp_path}")
    page.locator("button#crawl").click()
    report = page.locator("#corpora-report")
    report.get_by_text("Left out").wait_for()
    assert "test" in report.inner_text()
    page.locator("#corpora-table").get_by_text("fresh").wait_for()


def test_a_search_keeps_to_its_path(open_page: Callable[..., Page]) -> None:
    page = open_page()
    open_tab(page, "Corpora")
    page.get_by_label("In", exact=True).click()
    page.get_by_role("option", name="study", exact=True).click()
    page.locator("#query textarea, #query input").first.fill("parse a message")
    page.locator("#path textarea, #path input").first.fill("*queues.py")
    page.locator("#search").click()
    page.locator("#hits summary").first.wait_for()
    found = page.locator("#hits summary").all_inner_texts()
    assert found
    assert all("queues.py" in line for line in found)


def answer_two_numbers(page: Page) -> None:
    choose_model(page, 16)
    page.locator("#text textarea").fill("add two numbers")
    page.locator("#run").click()
    page.locator("#pane-0 [data-status=done]").wait_for()
    finish(page)


def test_what_was_sent_unfolds_under_an_answer(open_page: Callable[..., Page]) -> None:
    page = open_page()
    answer_two_numbers(page)
    panel = page.locator("#pane-0 .wb-sent")
    panel.locator("summary").first.click()
    told = panel.inner_text()
    assert "Parameters in force" in told and "temperature 0" in told
    assert "add two numbers" in told
    panel.get_by_text("The exact text after").click()
    assert "<|im_start|>user" in panel.inner_text()


def test_a_model_is_loaded_shown_in_memory_and_unloaded(open_page: Callable[..., Page]) -> None:
    page = open_page()
    open_tab(page, "Models")
    page.locator("#models-table").get_by_text("smollm2-135m").first.wait_for()
    page.locator("#hosted-table").get_by_text("OPENAI_API_KEY").first.wait_for()
    page.locator("#backend-to-load input").fill("transformers/smollm2-135m")
    page.locator("#backend-to-load input").press("Enter")
    page.locator("#load").click()
    loaded = page.locator("#loaded-table")
    loaded.get_by_text("transformers/smollm2-135m").wait_for()
    page.get_by_label("Loaded").click()
    page.get_by_role("option", name="transformers/smollm2-135m").click()
    page.locator("#unload").click()
    page.locator("#models-notice").get_by_text("is unloaded").wait_for()
    loaded.get_by_text("transformers/smollm2-135m").wait_for(state="detached")


def test_what_does_not_fit_is_said_by_the_calculator(open_page: Callable[..., Page]) -> None:
    page = open_page()
    open_tab(page, "Models")
    page.locator("#memory-said").get_by_text("7B q4_k_m").wait_for()
    page.get_by_label("Parameters").fill("9000B")
    page.get_by_label("Parameters").press("Tab")
    page.locator("#memory-said").get_by_text("does not fit").wait_for()
    page.locator("#memory-plot .main-svg").first.wait_for()
    page.get_by_label("Parameters").fill("seven")
    page.get_by_label("Parameters").press("Tab")
    page.locator("#memory-said [role=alert]").get_by_text("seven").wait_for()


def test_the_worked_example_says_324_and_moves_with_its_assumptions(
    open_page: Callable[..., Page],
) -> None:
    page = open_page()
    open_tab(page, "Cost")
    said = page.locator("#cost-said")
    said.get_by_text("324 requests an hour").first.wait_for()
    page.locator("#cost-curve .main-svg").first.wait_for()
    page.locator("#cost-usd-request input").fill("0.05")
    said.get_by_text("162 requests an hour").first.wait_for()
    page.locator("#cost-speed-by").get_by_text("typed").click()
    page.locator("#cost-speed input").fill("50")
    said.get_by_text("never").first.wait_for()
    page.locator("#cost-example").click()
    said.get_by_text("324 requests an hour").first.wait_for()
    page.locator("#cost-ranges textarea, #cost-ranges input").first.fill("usd_per_hour=cheap")
    page.locator("#cost-ranges textarea, #cost-ranges input").first.press("Tab")
    page.locator("#cost-said [role=alert]").get_by_text("no range").wait_for()


def test_throughput_is_measured_on_the_page_and_a_run_is_reckoned(
    open_page: Callable[..., Page],
) -> None:
    answer_two_numbers(open_page())
    page = open_page()
    open_tab(page, "Cost")
    # Opening the tab asks for the newest run.
    page.wait_for_function("document.querySelector('#cost-run input').value.includes('smollm2')")
    page.locator("#cost-show").click()
    page.locator("#cost-run-table").get_by_text("smollm2-135m").first.wait_for()
    page.locator("#throughput-backend input").fill("retrieval")
    page.locator("#throughput-backend input").press("Enter")
    page.locator("#measure-throughput").click()
    page.locator("#throughput-notice [role=alert]").wait_for()  # it cannot answer without hits
    page.locator("#throughput-backend input").fill(MODEL)
    page.locator("#throughput-backend input").press("Enter")
    for more in ("2", "4", "8"):
        page.locator("#throughput-concurrencies").get_by_label(more, exact=True).uncheck()
    page.get_by_label("Requests", exact=True).fill("1")
    page.get_by_label("Longest answer").fill("4")
    page.locator("#measure-throughput").click()
    page.locator("#throughput-points td").first.wait_for(timeout=2 * LONG)
    page.locator("#throughput-plot .main-svg").first.wait_for()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize(
    ("tab", "drawn"), [("Models", "#memory-plot"), ("Cost", "#cost-curve")], ids=["models", "cost"]
)
def test_models_and_cost_fit_their_window(
    open_page: Callable[..., Page], tab: str, drawn: str, width: int, theme: str
) -> None:
    page = open_page(width, theme)
    open_tab(page, tab)
    page.locator(f"{drawn} .main-svg").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    # Nothing of a table is out of sight, to be found by who thinks of scrolling it sideways.
    ends = page.evaluate(
        "[...document.querySelectorAll('#models-table td, #hosted-table td')]"
        ".filter(cell => cell.innerText).map(cell => cell.getBoundingClientRect().right)"
    )
    assert bool(ends) == (tab == "Models") and all(end <= width for end in ends)
