"""The menu of metrics: laws that each of them keeps, and the ones that are not text or tests."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from importlib.metadata import version

import numpy as np
import pytest

from workbench.errors import BadInput, MissingExtra, UnknownName
from workbench.metrics import METRICS, canonical_metric, make_metric, making_of, ranking
from workbench.metrics.figures import adds_up, figure, question_values
from workbench.metrics.menu import PARTS
from workbench.sandbox import Limits, Outcome
from workbench.types import (
    Answer,
    Chunk,
    Completion,
    Example,
    Hit,
    Metric,
    ProgramTests,
    Prompt,
    Question,
    Reference,
    Score,
    Step,
)

NAMES = [entry.name for entry in METRICS]
# Each option of each metric, too.
WAYS = [
    *NAMES,
    *(f"{name}+{option}" for name in NAMES for option in making_of(name).options),
]
# Of whose version each signature tells, where it is not this package's.
LIBRARIES = {
    **dict.fromkeys(("BLEU", "chrF", "chrF++", "TER"), "sacrebleu"),
    "ROUGE-L": "rouge-score",
    "readability": "textstat",
    "retrieved": "ir-measures",
}
# Their signatures name the rule, which no version of a library decides.
WITHOUT_VERSION = ("exact match", "AST match")


class Bags:
    """Embeds a text as its letters, so that equal texts are equal and others are near."""

    fingerprint = "letters"

    def __init__(self) -> None:
        self.at_once = 0

    def encode(self, texts, kind):
        assert kind == "document"
        self.at_once += 1
        assert self.at_once == 1, "one at a time"
        time.sleep(0.001)  # lets another thread in, if any may come in
        rows = np.array([[text.count(one) + 0.01 for one in "abcdefghij"] for text in texts])
        self.at_once -= 1
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


class Passes:
    """Passes what holds a plus."""

    limits = Limits()

    def grade(self, code, tests, language) -> Outcome:
        return Outcome("passed" if "+" in code else "wrong answer")


def make(name: str) -> Metric:
    return make_metric(
        name, grader=Passes(), embedder=Bags(), ask=lambda text, language, signature: text
    )


def chunk(id_: str, symbol: str | None = None) -> Chunk:
    return Chunk(id_, "text", "a.py", 1, 2, "python", symbol, "test", None)


def hits(*chunks: Chunk) -> tuple[Hit, ...]:
    return tuple(Hit(one, 1.0, rank) for rank, one in enumerate(chunks, 1))


def call(**changes) -> Completion:
    known = Completion("x", 30, 12, 1.5, 0.2, "stop", "model", cost=0.002)
    return replace(known, **changes)


RIGHT = "def add(a, b):\n    total = a + b\n    return total"
EXAMPLE = Example(
    Question("q", "generate", "Add.", language="python", target_language="python"),
    Reference((RIGHT,), ProgramTests("python", "assert add(1, 2) == 3"), relevant={"one": 1}),
)
PROSE = "This function adds two numbers. It then gives the sum back to you."


def answer(name: str, text: str = RIGHT.replace("total", "sum_")) -> Answer:
    """Return an answer that this metric has something to say of."""
    prose = name.startswith("readability")
    return Answer(
        PROSE if prose else text,
        text,
        None if prose else "python",
        "all",
        hits=hits(chunk("two"), chunk("one")),
        steps=(Step(Prompt((), "t"), call()),),
    )


def bare(text: str) -> Answer:
    """Return an answer of which nothing is known but its text."""
    return Answer(text, text, "python", "all")


EMPTY = Example(Question("q", "generate", ""), Reference())


@pytest.mark.parametrize("name", WAYS)
def test_a_metric_says_its_name_its_settings_and_whether_more_is_better(name: str) -> None:
    metric = make(name)
    assert metric.name == name == canonical_metric(name)
    assert metric.signature.startswith(name.split("+")[0])
    assert isinstance(metric.higher_is_better, bool)
    base = next(one for one in sorted(NAMES, key=len, reverse=True) if name.startswith(one))
    if base not in WITHOUT_VERSION:
        assert version(LIBRARIES.get(base, "code-workbench")) in metric.signature
    assert "\n" not in metric.signature


def test_two_ways_never_share_a_signature() -> None:
    signatures = [make(name).signature for name in WAYS]
    assert len(set(signatures)) == len(WAYS)


@pytest.mark.parametrize("name", WAYS)
def test_a_metric_judges_what_it_can_and_is_pure(name: str) -> None:
    metric = make(name)
    scores = [metric.score(answer(name), EXAMPLE) for _ in range(3)]
    assert scores[0] == scores[1] == scores[2] == make(name).score(answer(name), EXAMPLE)
    assert scores[0].metric == name
    assert isinstance(scores[0].value, float) and np.isfinite(scores[0].value)
    assert all(isinstance(one, int | float) for one in scores[0].statistics)


@pytest.mark.parametrize("name", WAYS)
def test_what_cannot_be_judged_is_none_with_a_reason_and_never_zero(name: str) -> None:
    # Readability looks at nothing but the answer, and this one is code.
    score = make(name).score(bare(RIGHT), EMPTY)
    assert score.value is None
    assert score.detail
    assert score.statistics == ()


@pytest.mark.parametrize("name", WAYS)
def test_nothing_has_no_figure(name: str) -> None:
    metric = make(name)
    unjudged = metric.score(bare(RIGHT), EMPTY)
    for nothing in ([], [[]], [[], []], [[unjudged]], [[unjudged], [unjudged, unjudged], []]):
        assert metric.aggregate(nothing) is None


@pytest.mark.parametrize("name", WAYS)
def test_what_was_not_judged_does_not_change_a_figure(name: str) -> None:
    metric = make(name)
    judged = [[metric.score(answer(name), EXAMPLE)], [metric.score(answer(name), EXAMPLE)]]
    unjudged = metric.score(bare(RIGHT), EMPTY)
    assert metric.aggregate([[*judged[0], unjudged], [unjudged], judged[1], []]) == pytest.approx(
        metric.aggregate(judged)
    )


@pytest.mark.parametrize("name", WAYS)
def test_a_figure_is_the_mean_over_questions_or_that_of_summed_statistics(name: str) -> None:
    metric = make(name)
    texts = (RIGHT, "def add(a, b):\n    return a - b", "def add(x, y): return x + y", "total = a")
    scores = [
        [metric.score(answer(name, text), EXAMPLE) for text in some]
        for some in (texts[:1], texts[1:], texts)
    ]
    value = metric.aggregate(scores)
    if adds_up(scores):
        rows = [score.statistics for samples in scores for score in samples]
        total = tuple(np.sum(rows, axis=0).tolist())
        assert metric.aggregate([[Score(name, 0.0, statistics=total)]]) == pytest.approx(value)
    else:
        assert value == pytest.approx(np.mean(question_values(metric, scores)))
    found = figure(metric, scores, resamples=200)
    assert found.value == pytest.approx(value) and found.low <= value <= found.high


@pytest.mark.parametrize("name", WAYS)
def test_it_may_be_asked_from_several_threads(name: str) -> None:
    metric = make(name)
    texts = [f"{RIGHT}\n# {n * 'abc '}" for n in range(24)]
    alone = [metric.score(answer(name, text), EXAMPLE) for text in texts]
    found: dict[int, Score] = {}

    def work(part: int) -> None:
        for n in range(part, len(texts), 4):
            found[n] = metric.score(answer(name, texts[n]), EXAMPLE)

    threads = [threading.Thread(target=work, args=(part,)) for part in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert [found[n] for n in range(len(texts))] == alone


# --- names -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("bleu", "BLEU"),
        ("CHRF++", "chrF++"),
        ("chrF+++lowercase", "chrF+++lowercase"),
        ("exact-match", "exact match"),
        ("rouge_l+STEM", "ROUGE-L+stem"),
        ("codebleu+corrected", "CodeBLEU+corrected"),
        ("BLEU+intl+lowercase", "BLEU+lowercase+intl"),
        ("retrieved+ndcg@10", "retrieved+nDCG@10"),
        ("Pass@1", "pass@1"),
    ],
)
def test_a_name_is_known_however_it_is_written(written: str, meant: str) -> None:
    assert canonical_metric(written) == meant
    assert make(written).name == meant


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("CodeBLUE", "Did you mean CodeBLEU"),
        ("BLEU+lower", "Did you mean lowercase?"),
        ("seconds+all", "The metric seconds has no options."),
        ("+BLEU", "No metric is called ''."),
        ("", "Known: "),
    ],
)
def test_a_wrong_name_gets_the_nearest_right_one(name: str, said: str) -> None:
    with pytest.raises(BadInput) as error:
        make(name)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", NAMES)
def test_a_part_that_is_missing_is_named(name: str) -> None:
    for part in making_of(name).needs:
        given = {"grader": Passes(), "embedder": Bags(), "ask": str, part: None}
        with pytest.raises(BadInput, match=f"needs an? {part}"):
            make_metric(name, **given)


def test_parts_that_nobody_takes_are_refused_and_others_ignored() -> None:
    with pytest.raises(TypeError, match="graders"):
        make_metric("BLEU", graders=Passes())
    assert make_metric("BLEU", grader=Passes(), embedder=None).name == "BLEU"
    used = {part for name in NAMES for part in (*making_of(name).needs, *making_of(name).may_have)}
    assert used == set(PARTS)


def test_an_unknown_option_is_an_unknown_name() -> None:
    with pytest.raises(UnknownName, match="option of CodeBLEU"):
        make("CodeBLEU+correct_")


# --- similarity ------------------------------------------------------------------------


def test_equal_texts_are_as_near_as_can_be_and_others_less() -> None:
    metric = make("similarity")
    key = replace(EXAMPLE, reference=Reference(("abc abc", "jjj")))
    assert metric.score(bare("cba cba"), key).value == pytest.approx(1)
    assert metric.score(bare("jj"), key).value == pytest.approx(1, abs=1e-3), "the nearest counts"
    assert metric.score(bare("ef gh"), key).value < 0.1
    first = make_metric("similarity", embedder=Bags(), references=1)
    assert first.score(bare("jj"), key).value < 0.1
    assert "embedder:letters" in metric.signature


def test_an_answer_that_says_nothing_resembles_nothing() -> None:
    score = make("similarity").score(bare(" \n"), EXAMPLE)
    assert (score.value, score.detail) == (0.0, "no text")


# --- readability -----------------------------------------------------------------------


def test_readability_is_flesch_as_counted_by_hand() -> None:
    # 8 words in 2 sentences, all of one syllable.
    text = "The cat sat there. The dog ran off."
    score = make("readability").score(Answer(text, text, None, "all"), EXAMPLE)
    assert score.value == pytest.approx(206.835 - 1.015 * 8 / 2 - 84.6 * 8 / 8)
    assert score.detail == "8 words in 2 sentences"


def test_longer_words_and_sentences_are_harder() -> None:
    texts = (
        "It sorts the list. Then it gives it back.",
        "It sorts the list and then it gives it back to whoever asked it to sort the list.",
        "Subsequently, lexicographical reorganization of heterogeneous collections materializes.",
    )
    metric = make("readability")
    eases = [metric.score(Answer(text, text, None, "all"), EXAMPLE).value for text in texts]
    assert eases == sorted(eases, reverse=True)
    assert eases[0] > 80 and eases[2] < 0


@pytest.mark.parametrize("text", ["", "...", "  \n "])
def test_what_is_no_prose_has_no_readability(text: str) -> None:
    metric = make("readability")
    assert metric.score(Answer(text, text, None, "all"), EXAMPLE).value is None
    assert metric.score(Answer("x = 1", "x = 1", "python", "all"), EXAMPLE).value is None


def test_readability_asks_nothing_of_the_network() -> None:
    # textstat's own figure would fetch the CMU dictionary; the fixture closes the network.
    text = "Unfathomable characteristics."
    score = make("readability").score(Answer(text, text, None, "all"), EXAMPLE)
    assert score.value is not None


# --- retrieved -------------------------------------------------------------------------


def retrieved(name: str, found: tuple[Hit, ...], relevant: dict[str, int]) -> Score:
    key = replace(EXAMPLE, reference=Reference(relevant=relevant))
    return make(name).score(replace(bare("x"), hits=found), key)


def test_hits_are_ranked_as_they_stood_in_the_prompt() -> None:
    found = hits(chunk("a"), chunk("b", "heapq.merge"), chunk("c"), chunk("d"))
    relevant = {"heapq.merge": 1, "d": 1, "z": 1}
    assert retrieved("retrieved", found, relevant).value == pytest.approx(1 / 2)
    assert retrieved("retrieved", found[::-1], relevant).value == pytest.approx(1 / 2)
    assert retrieved("retrieved+recall@5", found, relevant).value == pytest.approx(2 / 3)
    assert retrieved("retrieved+recall@1", found, relevant).value == 0
    said = retrieved("retrieved", found, relevant).detail
    assert said == "found at 2, 4 of 4 hits; 2 of 3 that help"


def test_it_is_the_ranking_metric_of_the_same_ids() -> None:
    found, relevant = hits(*map(chunk, "abcdef")), {"c": 2, "f": 1, "x": 1}
    expected = ranking.score_rankings([list("abcdef")], [relevant])
    for measure in ("nDCG@10", "recall@1", "recall@5", "recall@20"):
        score = retrieved(f"retrieved+{measure}", found, relevant)
        assert score.value == pytest.approx(expected[measure][0])


def test_a_symbol_in_several_chunks_counts_once() -> None:
    found = hits(chunk("a", "merge"), chunk("b", "merge"))
    score = retrieved("retrieved+recall@5", found, {"merge": 1})
    assert score.value == 1
    assert score.detail == "found at 1 of 2 hits; 1 of 1 that help"


def test_found_nothing_is_zero_and_searched_nothing_is_none() -> None:
    assert retrieved("retrieved", hits(chunk("a")), {"b": 1}).value == 0
    assert retrieved("retrieved", (), {"b": 1}).detail == "no hits"
    assert retrieved("retrieved", hits(chunk("a")), {}).value is None
    assert retrieved("retrieved", hits(chunk("a")), {"a": 0}).value is None


def test_a_missing_library_is_said_before_any_answer_is_judged(monkeypatch) -> None:
    def gone() -> None:
        raise MissingExtra("Measuring retrieval", "lab")

    monkeypatch.setattr(ranking, "_library", gone)
    with pytest.raises(MissingExtra, match="pip install"):
        make("retrieved")


# --- tokens, seconds, cost -------------------------------------------------------------


def spent(name: str, *calls: Completion) -> Score:
    steps = tuple(Step(Prompt((), "t"), one) for one in calls)
    return make(name).score(replace(bare("x"), steps=steps), EXAMPLE)


def test_all_calls_of_an_answer_are_summed() -> None:
    calls = call(), call(input_tokens=100, output_tokens=8, seconds=0.5, cost=0.01)
    assert spent("tokens", *calls).value == 30 + 12 + 100 + 8
    assert spent("tokens+input", *calls).value == 130
    assert spent("tokens+output", *calls).value == 20
    assert spent("seconds", *calls).value == pytest.approx(2.0)
    assert spent("cost", *calls).value == pytest.approx(0.012)
    assert spent("cost", *calls).detail == "2 calls"


def test_a_call_that_does_not_tell_leaves_the_sum_unknown() -> None:
    assert spent("tokens", call(), call(output_tokens=None)).value is None
    assert spent("tokens+input", call(), call(output_tokens=None)).value == 60
    assert spent("cost", call(), call(cost=None)).detail == "a call does not tell its price"
    assert spent("seconds").detail == "no call is on record"


def test_what_is_free_costs_nothing_and_is_known() -> None:
    assert spent("cost", call(cost=0.0)).value == 0.0


def test_less_is_better_of_what_is_spent_and_edited() -> None:
    worse = [name for name in WAYS if not make(name).higher_is_better]
    assert {name.split("+")[0] for name in worse} == {"TER", "tokens", "seconds", "cost"}
