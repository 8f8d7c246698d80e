"""The page's handlers, without a server: they translate, and lose and leak nothing."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio", reason="the UI needs its extra: pip install 'code-workbench[ui]'")

import gradio as gr

from workbench import api
from workbench.cancel import cancelled
from workbench.comparison import Column, Comparison
from workbench.errors import BackendError, BadInput
from workbench.languages import LANGUAGES
from workbench.progress import bar, heard_by
from workbench.spec import Pane, RunSpec
from workbench.types import (
    Answer,
    Answered,
    Chunk,
    Completion,
    Event,
    Hit,
    Message,
    Prompt,
    Question,
    SamplingParams,
    Step,
    Token,
)
from workbench.ui import app, choices
from workbench.ui.compare import CompareTab, Session
from workbench.ui.corpora import CorporaTab, table_html
from workbench.ui.examples import EXAMPLES
from workbench.ui.live import Live
from workbench.ui.panes import answer_pane, background_pane, file_name, saving_html
from workbench.ui.request import read_request

QUESTION = Question("q", "generate", "add two numbers", target_language="python")
PROMPT = Prompt((Message("user", "add"),), "generate")


def answered(text: str, language: str | None = "python") -> Answer:
    completion = Completion(text, 3, 2, 1.0, 0.5, "stop", "fake")
    return Answer(text, text, language, "raw", steps=(Step(PROMPT, completion),))


class Fake:
    """A solver that says its words, then answers; with ``silent`` it waits to be cancelled."""

    def __init__(self, name: str, *words: str, silent: bool = False, pause: float = 0.0) -> None:
        self.name, self.words, self.silent, self.pause = name, words, silent, pause
        self.ended = threading.Event()

    def stream(self, question: Question) -> Iterator[Event]:
        try:
            for word in self.words:
                yield Token(word)
                time.sleep(self.pause)
            while self.silent and not cancelled():
                time.sleep(0.01)
            yield Answered(answered("".join(self.words)))
        finally:
            self.ended.set()


class Broken(Fake):
    def stream(self, question: Question) -> Iterator[Event]:
        raise BackendError("The server refused.", "Start it.")
        yield


def live(*solvers: Fake) -> Live[Comparison]:
    return Live(api.stream_solvers(QUESTION, solvers, {}), Comparison.stop)


@pytest.fixture
def tab() -> CompareTab:
    with gr.Blocks():
        return CompareTab()


Answering = Callable[..., None]


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Answering:
    """Make the next runs be answered by these solvers, whatever backends are chosen."""

    def choose(*solvers: Fake) -> None:
        def stream(spec: RunSpec) -> Iterator[Comparison]:
            return api.stream_solvers(spec.question(), solvers, {})

        monkeypatch.setattr("workbench.ui.compare.api.stream", stream)

    return choose


def form(task: str = "generate", text: str = "add two numbers", **others: Any) -> tuple[Any, ...]:
    fields: dict[str, Any] = {
        "files": None,
        "source": "python",
        "target": "java",
        "audience": "",
        "index": "",
        "retriever": "hybrid",
        "k": 4,
        "max_tokens": None,
        "temperature": None,
        "seed": None,
        "cache": True,
        "budget": None,
        "fallback": "",
        "shown": 2,
        "panes": ("retrieval", True, "replay/a.json", False, "", True, "", True),
    } | others
    panes = fields.pop("panes")
    return (task, text, *fields.values(), *panes)


# --- from fields to a spec ---------------------------------------------------------------


def test_languages_count_only_where_their_field_is_shown() -> None:
    asked = {task: read_request(*form(task)) for task in ("generate", "summarize", "translate")}
    assert (asked["generate"].language, asked["generate"].target_language) == (None, "java")
    assert (asked["summarize"].language, asked["summarize"].target_language) == ("python", None)
    assert (asked["translate"].language, asked["translate"].target_language) == ("python", "java")


def test_cache_budget_and_fallback_are_taken_over_and_empty_ones_are_none() -> None:
    spec = read_request(*form(cache=False, budget=0.5, fallback=" retrieval "))
    assert (spec.cache, spec.budget, spec.fallback) == (False, 0.5, "retrieval")
    assert read_request(*form()).fallback is None


def test_only_panes_that_are_shown_are_asked() -> None:
    assert read_request(*form(shown=2)).panes == (
        Pane("retrieval", True),
        Pane("replay/a.json", False),
    )
    assert len(read_request(*form(shown=4)).panes) == 4


def test_empty_numbers_are_left_to_the_task_and_zero_is_a_number() -> None:
    assert read_request(*form()).params == ()
    spec = read_request(*form(max_tokens=64.0, temperature=0, seed=0))
    assert dict(spec.params) == {"max_tokens": 64, "temperature": 0, "seed": 0}
    assert spec.sampling(SamplingParams()).max_tokens == 64


def test_an_index_names_corpus_chunker_and_embedder() -> None:
    spec = read_request(*form(index="python-stdlib|lines|sentence-transformers/a|b"))
    assert (spec.corpus, spec.chunker) == ("python-stdlib", "lines")
    assert spec.embedder == "sentence-transformers/a|b"
    assert read_request(*form(index=choices.NO_CORPUS)).corpus is None


def test_files_are_read_with_their_language(tmp_path: Path) -> None:
    file = tmp_path / "Sum.java"
    file.write_text("class Sum {}", encoding="utf-8")
    spec = read_request(*form("summarize", files=[str(file)], source=""))
    assert [(one.name, one.language) for one in spec.files] == [("Sum.java", "java")]


# --- a run -------------------------------------------------------------------------------


def test_a_run_fills_the_panes_and_gives_the_run_button_back(
    tab: CompareTab, answering: Answering
) -> None:
    answering(Fake("a", "x = 1"), Fake("b", "y = 2"))
    session = Session()
    updates = list(tab.run(session, *form()))
    assert updates[0][tab.halt]["visible"] and not updates[0][tab.start]["visible"]
    assert "data-status='done'" in updates[-2][tab.panes[0].answer]
    assert updates[-1][tab.start]["visible"] and not updates[-1][tab.halt]["visible"]
    assert updates[-1][tab.a]["choices"] == ["a", "b"]
    assert "x = 1" in updates[-1][tab.diff] and "y = 2" in updates[-1][tab.diff]
    assert "comparison-" in updates[-1][tab.saving]


def test_an_example_runs_whatever_the_fields_of_the_page_still_say(
    tab: CompareTab, answering: Answering
) -> None:
    answering(Fake("a", "x = 1"), Fake("b", "y = 2"))
    session = Session()
    for at, example in enumerate(EXAMPLES):
        first, *_, last = tab.run_example(session, at, *form(text="", task="translate"))
        assert first[tab.text]["value"] == example.text
        assert last[tab.notice] == ""
        assert session.comparison is not None
        assert session.comparison.question.text == example.text
        assert session.comparison.question.task == example.task


def test_text_grows_while_it_streams(tab: CompareTab, answering: Answering) -> None:
    answering(Fake("a", *(f"word{n} " for n in range(12)), pause=0.05))
    shown = [
        update[tab.panes[0].answer]
        for update in tab.run(Session(), *form())
        if tab.panes[0].answer in update
    ]
    counts = [len(set(re.findall(r"word\d+", html))) for html in shown]
    assert counts == sorted(counts)
    assert len(set(counts)) >= 3 and counts[-1] == 12


def test_bad_input_is_one_line_and_touches_no_pane(tab: CompareTab) -> None:
    session = Session()
    for values in (form(text="  "), form(text="x" * 5_000_000), form(shown=2)):
        *_, last = tab.run(session, *values)
        notice = last[tab.notice]
        assert "role='alert'" in notice and "\n" not in notice and "Traceback" not in notice
        assert last[tab.start]["visible"]
        assert not {tab.text, tab.panes[0].answer, tab.saving} & set(last)


def test_a_wrong_backend_is_answered_with_the_nearest_right_one(tab: CompareTab) -> None:
    panes = ("lama-cpp/qwen2.5-coder-0.5b", True) * 4
    *_, last = tab.run(Session(), *form(panes=panes))
    assert "llama-cpp/qwen2.5-coder-0.5b" in last[tab.notice]


def test_a_failed_backend_fills_its_own_pane_only(tab: CompareTab, answering: Answering) -> None:
    answering(Broken("a"), Fake("b", "fine"))
    updates = list(tab.run(Session(), *form()))
    panes = updates[-2]
    assert "The server refused. Start it." in panes[tab.panes[0].answer]
    assert "data-status='done'" in panes[tab.panes[1].answer]
    assert updates[-1][tab.notice] == ""


def test_stop_keeps_the_partial_text_and_ends_the_model(
    tab: CompareTab, answering: Answering
) -> None:
    silent = Fake("a", "half of ", silent=True)
    answering(silent)
    session = Session()
    run = tab.run(session, *form())
    for update in run:
        if "half of" in update.get(tab.panes[0].answer, ""):
            break
    pressed = time.monotonic()
    tab.stop(session)
    rest = list(run)
    assert time.monotonic() - pressed < 1
    assert "data-status='stopped'" in rest[0][tab.panes[0].answer]
    assert "half of" in rest[0][tab.panes[0].answer]
    assert rest[-1][tab.start]["visible"]
    assert silent.ended.wait(2)


def test_a_page_that_goes_away_ends_its_models(tab: CompareTab, answering: Answering) -> None:
    silent = Fake("a", "half", silent=True)
    answering(silent)
    run = tab.run(Session(), *form())
    next(run), next(run)
    run.close()
    assert silent.ended.wait(2)


def test_a_silent_model_is_stopped_before_its_first_word() -> None:
    silent = Fake("a", silent=True)
    running = live(silent)
    threading.Timer(0.3, running.stop).start()
    assert [column.status for column in list(running)[-1]] == ["stopped"]
    assert silent.ended.wait(2)


def test_a_stopped_run_is_stored_as_stopped() -> None:
    running = live(Fake("a", "half", silent=True))
    threading.Timer(0.5, running.stop).start()
    run = list(running)[-1].run
    assert run is not None
    for _ in range(50):  # the thread that reads the stream writes it after the page has its state
        if (stored := api.runs()) and list(_results(run)):
            break
        time.sleep(0.05)
    assert [row.id for row in stored] == [run]
    assert "Stopped." in str(api.open_run(run).columns[0].error)


def _results(run: str) -> list[Column]:
    try:
        return list(api.open_run(run))
    except BadInput:  # nothing stored yet
        return []


def test_a_new_run_of_a_page_ends_its_last_one_and_keeps_its_panes(
    tab: CompareTab, answering: Answering
) -> None:
    session = Session()
    first = Fake("a", "old", silent=True)
    answering(first)
    old = tab.run(session, *form())
    next(old), next(old)
    answering(Fake("b", "new"))
    new = list(tab.run(session, *form()))
    assert list(old) == []
    assert first.ended.wait(2)
    assert "new" in new[-2][tab.panes[0].answer]


def test_sessions_run_at_once_and_know_nothing_of_each_other(
    tab: CompareTab, answering: Answering
) -> None:
    mine, yours = Session(), Session()
    silent = Fake("mine", "waiting", silent=True)
    answering(silent)
    running = tab.run(mine, *form())
    next(running), next(running)
    answering(Fake("yours", "quick"))
    done = list(tab.run(yours, *form()))
    assert "quick" in done[-2][tab.panes[0].answer]
    assert not silent.ended.is_set()
    assert mine.comparison is not None and [c.solver for c in mine.comparison] == ["mine"]
    running.close()


# --- what is shown ------------------------------------------------------------------------


@pytest.mark.parametrize("language", [one.name for one in LANGUAGES])
def test_a_saved_answer_has_its_language_s_ending(language: str) -> None:
    column = Column("llama-cpp/m", "done", answer=answered("code", language))
    assert file_name(column).endswith(next(o.endings[0] for o in LANGUAGES if o.name == language))


def test_saved_prose_is_markdown_and_a_partial_answer_is_text() -> None:
    assert file_name(Column("a b/c", "done", answer=answered("It adds.", None))) == "a-b-c.md"
    assert file_name(Column("../..", "stopped", text="half")) == "answer.txt"


def test_what_a_model_says_is_never_markup() -> None:
    evil = "</span><script>alert(1)</script><img src=x onerror=alert(1)>"
    chunk = Chunk("1", evil, evil, 1, 1, None, evil, "s", None)
    column = Column(evil, "done", answer=answered(evil), hits=(Hit(chunk, 1.0, 1),), error=evil)
    shown = answer_pane(column) + background_pane(column)
    shown += saving_html(Comparison(QUESTION, (column,), "run"))
    assert "<script" not in shown and "<img" not in shown


def test_copied_text_is_the_extracted_answer_exactly() -> None:
    code = "if a < b and c > d:\n\n    s = '&amp; \"quoted\"'"
    import html

    pane = answer_pane(Column("a", "done", answer=answered(code)))
    carried = re.search(r"<span hidden>(.*?)</span>", pane, re.DOTALL)
    assert carried is not None and html.unescape(carried[1]) == code


def test_each_task_has_an_example_that_can_be_asked() -> None:
    assert {example.task for example in EXAMPLES} == {"generate", "summarize", "translate"}
    for example in EXAMPLES:
        values = form(
            example.task,
            example.text,
            source=example.source,
            target=example.target,
            panes=("retrieval", True) * 4,
        )
        read_request(*values).check()


def test_task_switch_shows_only_the_fields_that_matter(tab: CompareTab) -> None:
    tasks = ("generate", "summarize", "translate")
    shown = {task: [one["visible"] for one in tab.switch(task)[1:]] for task in tasks}
    assert shown == {
        "generate": [False, True, False],
        "summarize": [True, False, True],
        "translate": [True, True, False],
    }


def test_uploads_that_are_no_code_are_refused_in_one_line(tab: CompareTab, tmp_path: Path) -> None:
    binary = tmp_path / "picture.png"
    binary.write_bytes(b"\x89PNG\0\xff\xfe")
    large = tmp_path / "large.py"
    large.write_bytes(b"#" * 1_000_001)
    for file, word in ((binary, "not a UTF-8"), (large, "1,000,001")):
        _, notice = tab.recognize([str(file)])
        assert word in notice
        *_, last = tab.run(Session(), *form(files=[str(file)]))
        assert word in last[tab.notice]


def test_an_upload_sets_the_source_language(tab: CompareTab, tmp_path: Path) -> None:
    file = tmp_path / "main.go"
    file.write_text("package main", encoding="utf-8")
    assert tab.recognize([str(file)]) == ["go", ""]


def test_an_empty_home_says_what_to_run() -> None:
    from workbench.doctor import menu

    said = choices.missing_html(menu())
    assert "workbench models pull qwen2.5-coder-0.5b" in said
    assert "workbench crawl python-stdlib" in said


def test_retrieval_begins_with_the_default_index_and_keeps_a_choice() -> None:
    indexes = [("No corpus", ""), ("b", "b|syntax|static"), ("c", "c|lines|minilm")]
    assert choices.first_index(indexes) == "b|syntax|static"
    assert choices.first_index(indexes, "c|lines|minilm") == "c|lines|minilm"
    assert choices.first_index(indexes, "gone|syntax|static") == "b|syntax|static"
    assert choices.first_index(indexes[:1]) == ""


# --- corpora ------------------------------------------------------------------------------


@pytest.fixture
def corpora() -> CorporaTab:
    with gr.Blocks():
        return CorporaTab()


def test_a_folder_with_a_space_is_crawled_and_listed(corpora: CorporaTab, tmp_path: Path) -> None:
    folder = tmp_path / "my code"
    folder.mkdir()
    (folder / "a.py").write_text("def add(a, b):\n    return a + b\n", encoding="utf-8")
    said, report = corpora.do_crawl("mine", f"'folder:{folder}'")
    assert "python" in report
    assert "1 files read" in said and "wb-done" in said
    assert "mine" in table_html() and "not indexed" in table_html()
    assert corpora.refresh()[1]["choices"] == ["mine"]


def test_bars_within_bars_are_heard_and_hand_out_their_own_items() -> None:
    heard: list[tuple[float, float | None, str]] = []

    def doubled() -> Iterator[int]:
        for number in bar(range(40), total=40, desc="inner", unit="number", mininterval=0):
            yield 2 * number

    with heard_by(lambda done, total, what, unit: heard.append((done, total, what))):
        found = list(bar(doubled(), desc="outer", unit="number"))
    assert found == list(range(0, 80, 2))
    assert {what for *_, what in heard} == {"inner", "outer"}
    assert (40, 40, "inner") in heard or max(done for done, *_ in heard) >= 1


def test_long_work_that_is_heard_ends_when_nobody_waits() -> None:
    done: list[int] = []
    begun = threading.Event()

    def work() -> Iterator[str]:
        yield "begun"
        for number in bar(range(10_000), desc="Work", unit="thing"):
            done.append(number)
            begun.set()
            time.sleep(0.01)
        yield "finished"

    running = Live(work())
    begun.wait(5)
    running.stop()
    assert list(running) == ["begun"]
    time.sleep(0.5)
    count = len(done)
    time.sleep(0.3)
    assert len(done) == count < 10_000


@pytest.mark.parametrize(
    ("name", "sources"), [("", ""), ("mine", "folder:/nowhere"), ("mine", "'open"), ("../x", "")]
)
def test_a_crawl_that_cannot_be_is_one_line(corpora: CorporaTab, name: str, sources: str) -> None:
    said, _ = corpora.do_crawl(name, sources)
    assert "wb-problem" in said and "see the log" not in said


def test_search_and_index_without_a_corpus_say_what_to_do(corpora: CorporaTab) -> None:
    assert "Crawl one first" in corpora.do_index("", "static", "syntax")
    assert "Build one above" in corpora.do_search("x", "", "hybrid", 5)[0]
    missing = corpora.do_search("x", "gone|syntax|static", "hybrid", 5)[0]
    assert "workbench crawl gone" in missing


# --- the server ---------------------------------------------------------------------------


def test_a_port_in_use_is_one_line_with_another_port() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BadInput, match=f"Port {port} is in use. .*workbench ui --port"):
            app.check_port("127.0.0.1", port)


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(BadInput, match="--host"):
        app.check_port("192.0.2.1", 7860)


def test_only_this_machine_comes_in_without_a_password(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.credentials("127.0.0.1", None, share=False) is None
    assert app.credentials("0.0.0.0", "me:secret", share=True) == ("me", "secret")
    for host, share in (("0.0.0.0", False), ("127.0.0.1", True)):
        made = app.credentials(host, None, share=share)
        assert made is not None and len(made[1]) >= 12
        assert made[1] in capsys.readouterr().out
    with pytest.raises(BadInput, match="USER:PASSWORD"):
        app.credentials("127.0.0.1", "nobody", share=False)


def test_page_loads_nothing_from_elsewhere() -> None:
    looks = app.appearance()
    sheet = Path(looks["css_paths"]).read_text(encoding="utf-8")
    drawn = looks["theme"]._get_theme_css().replace("http://www.w3.org/2000/svg", "")
    assert "://" not in sheet + looks["head"] + drawn
    assert looks["theme"]._stylesheets == []


def test_page_says_nothing_of_itself_to_anybody() -> None:
    page = app.build()
    assert page.analytics_enabled is False
    assert all(one.api_visibility == "private" for one in page.fns.values())
