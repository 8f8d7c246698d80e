"""A comparison: what its columns say while they fill, and every form that it can take."""

from __future__ import annotations

import html
import json
from dataclasses import replace

import pytest
from test_store import ANSWER, HIT, PROMPT

from workbench.comparison import Column, Comparison, column_html, status_line
from workbench.keys import HIDDEN
from workbench.report import answer_html, code_html, diff_html
from workbench.types import (
    Answer,
    Answered,
    Event,
    Failed,
    Loading,
    Prompted,
    Question,
    Retrieved,
    Sent,
    Step,
    Token,
    Update,
)

QUESTION = Question("q", "generate", "add <b>", target_language="python")


def compare(*names: str) -> Comparison:
    return Comparison(QUESTION, tuple(Column(name) for name in names))


def after(comparison: Comparison, solver: str, *events: Event | Failed) -> Comparison:
    for event in events:
        comparison = comparison.after(Update(solver, event))
    return comparison


def test_a_column_passes_through_its_states() -> None:
    events: list[tuple[Event | Failed, str]] = [
        (Loading("model"), "loading"),
        (Retrieved((HIT,), 0.01), "loading"),
        (Prompted(PROMPT), "reading"),
        (Token("a"), "writing"),
        (Token("b"), "writing"),
        (Answered(ANSWER), "done"),
    ]
    comparison = compare("x")
    for event, status in events:
        comparison = after(comparison, "x", event)
        assert comparison["x"].status == status
    assert comparison["x"].text == ANSWER.raw
    assert comparison.finished


def test_an_update_touches_its_own_column_only() -> None:
    comparison = after(compare("x", "y"), "x", Token("a"))
    assert comparison["y"] == Column("y")


def test_stop_keeps_what_came_and_leaves_finished_columns_alone() -> None:
    comparison = after(compare("x", "y"), "x", Answered(ANSWER))
    comparison = after(comparison, "y", Token("half an")).stop()
    assert comparison["x"].status == "done"
    assert (comparison["y"].status, comparison["y"].text) == ("stopped", "half an")


def test_json_holds_answer_messages_and_sources() -> None:
    comparison = after(compare("x", "y"), "x", Answered(ANSWER))
    comparison = after(comparison, "y", Token("half"), Failed("Refused."))
    x, y = json.loads(comparison.to_json())["columns"]
    assert x["answer"] == ANSWER.text
    assert [message["content"] for message in x["messages"]] == [
        message.content for message in PROMPT.messages
    ]
    assert x["hits"][0]["chunk"]["path"] == "a/b.py"
    assert (y["answer"], y["partial"], y["error"]) == (None, "half", "Refused.")


def test_df_has_a_row_a_solver_and_no_zero_for_a_failure() -> None:
    comparison = after(compare("x", "y"), "x", Answered(ANSWER))
    table = after(comparison, "y", Failed("Refused.")).df
    assert list(table.index) == ["x", "y"]
    assert table.loc["x", "tokens_per_second"] == pytest.approx(2 / 0.4)
    assert table["seconds"].isna().tolist() == [False, True]


def test_markdown_fences_cannot_be_broken_by_the_answer() -> None:
    tricky = replace(ANSWER, text="x = '''\n```\n'''")
    text = after(compare("x"), "x", Answered(tricky)).to_markdown()
    assert "````python\nx = '''\n```\n'''\n````" in text


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "</pre><img src=x onerror=y>"])
def test_nothing_from_a_model_reaches_the_page_as_html(text: str) -> None:
    hostile = Answer(text, text, None, "prose")
    code = replace(hostile, language="python")
    pages = [
        comparison_page(Token(text)),
        comparison_page(Failed(text)),
        comparison_page(Answered(hostile)),
        comparison_page(Answered(code)),
        comparison_page(Answered(replace(hostile, text=""))),
        column_html(Column(text)),
        diff_html(text, "", text, text),
    ]
    for page in pages:
        assert "<script" not in page
        assert "<img" not in page


def comparison_page(event: Event | Failed) -> str:
    return after(compare("x"), "x", event)._repr_html_()


def test_an_answer_that_could_not_be_extracted_says_so_and_shows_the_raw_text() -> None:
    page = answer_html(Answer("", "I am sorry", None, "nothing"))
    assert "could be extracted" in page
    assert "I am sorry" in page


def test_code_is_highlighted_in_its_own_language() -> None:
    assert 'class="k"' in code_html("return 1", "python")
    assert 'class="k"' in code_html("return $x;", "php")
    assert code_html("return 1", None) == "<pre>return 1</pre>"


def test_figures_warn_of_a_cut_answer_and_ignored_parameters() -> None:
    completion = replace(ANSWER.steps[0].completion, finish_reason="length")
    cut = replace(ANSWER, steps=(replace(ANSWER.steps[0], completion=completion),))
    line = status_line(after(compare("x"), "x", Answered(cut))["x"])
    assert "cut at the token limit" in line
    assert "ignored: seed" in line
    assert "12 in, 3 out" in line


def test_diff_names_both_and_is_empty_for_equal_answers() -> None:
    other = replace(ANSWER, text="y")
    comparison = after(compare("a", "b", "c"), "a", Answered(ANSWER))
    comparison = after(after(comparison, "b", Answered(other)), "c", Answered(ANSWER))
    assert comparison.diff("a", "b").splitlines()[-2:] == ["-x", "+y"]
    assert comparison.diff("a", "c") == ""


SENT = Sent(
    PROMPT.messages,
    {"temperature": 0.0, "stop": ("\n\n",)},
    text="<|im_start|>user\nx<|im_end|>",
    model="weights 1a2b",
    endpoint="http://localhost:1/v1",
    notes=("The system message was put before the first user turn.",),
)


def sent_answer() -> Answer:
    completion = replace(ANSWER.steps[-1].completion, sent=SENT, ignored=("seed",), reasoning="Hm.")
    return replace(ANSWER, steps=(Step(PROMPT, completion),))


def test_the_fair_prompt_panel_shows_all_that_decided_an_answer() -> None:
    comparison = after(compare("x"), "x", Prompted(PROMPT), Answered(sent_answer()))
    page, text = comparison._repr_html_(), comparison.to_markdown()
    for shown in (page, html.escape(text)):
        for told in (
            SENT.text or "",
            SENT.model,
            SENT.endpoint or "",
            *SENT.notes,
            "temperature 0.0, stop '\n\n'".replace("\n", "\\n"),
            "seed",
            PROMPT.template,
            ANSWER.rule,
        ):
            assert html.escape(told) in shown, told
    assert "Hm." in page
    sent = json.loads(comparison.to_json())["columns"][0]["sent"][0]
    assert sent["text"] == SENT.text
    assert sent["parameters"]["temperature"] == 0.0


def test_without_a_record_the_panel_shows_the_prompt_itself() -> None:
    page = after(compare("x"), "x", Prompted(PROMPT), Answered(ANSWER))._repr_html_()
    for message in PROMPT.messages:
        assert html.escape(message.content) in page


def test_a_failed_answer_keeps_its_prompt_and_what_came_and_has_no_figures() -> None:
    events = (Prompted(PROMPT), Token("Hm", reasoning=True), Token("half"), Failed("Broke off."))
    column = after(compare("x"), "x", *events)["x"]
    assert column.steps[0].prompt == PROMPT
    assert column.steps[0].completion.text == "half"
    assert column.steps[0].completion.reasoning == "Hm"
    assert not column.steps[0].completion.is_complete
    assert status_line(column) == "failed"
    assert PROMPT.messages[-1].content in html.unescape(column_html(column))


def test_what_the_backend_knows_of_a_partial_answer_counts_more_than_what_was_seen() -> None:
    known = replace(ANSWER.steps[-1].completion, text="half", finish_reason="broken", sent=SENT)
    column = after(compare("x"), "x", Prompted(PROMPT), Token("ha"), Failed("Broke.", known))["x"]
    assert column.partial is known


def test_thinking_is_no_part_of_the_answer() -> None:
    comparison = after(compare("x"), "x", Token("first", reasoning=True))
    assert (comparison["x"].status, comparison["x"].text) == ("thinking", "")
    comparison = after(comparison, "x", Token("then"))
    assert (comparison["x"].text, comparison["x"].reasoning) == ("then", "first")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cached": True}, "from the cache"),
        ({"fallback_for": "openai/gpt"}, "fallback: openai/gpt failed"),
        ({"attempts": 3}, "3 tries"),
        ({"finish_reason": "refused"}, "refused"),
        ({"cost": 0.00123}, "0.0012 USD"),
    ],
)
def test_what_is_special_about_an_answer_stands_in_its_line(change: dict, words: str) -> None:
    completion = replace(ANSWER.steps[-1].completion, **change)
    answer = replace(ANSWER, steps=(Step(PROMPT, completion),))
    assert words in status_line(after(compare("x"), "x", Answered(answer))["x"])


def test_no_form_of_a_comparison_holds_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    key = "sk-secret-0123456789abcdef"
    monkeypatch.setenv("OPENAI_API_KEY", key)
    told = Failed(f"The server said {key}.")
    comparison = after(compare("x"), "x", Prompted(PROMPT), Token(f"use {key}"), told)
    for form in (comparison.to_json(), comparison.to_markdown(), comparison._repr_html_()):
        assert key not in form and HIDDEN in form
