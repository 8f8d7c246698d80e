"""BLEU, chrF, TER and ROUGE-L: sacreBLEU's own tables, and its public calls on the same data."""

from __future__ import annotations

import math
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.metrics import make_metric
from workbench.metrics.text import bleu, chrf, ter
from workbench.types import Answer, Example, Question, Reference, Score

sacrebleu = pytest.importorskip("sacrebleu", reason="needs the extra 'evaluate'")

TEXT_METRICS = ("BLEU", "chrF", "chrF++", "TER", "ROUGE-L")


def answer(text: str) -> Answer:
    return Answer(text, text, None, "all")


def example(*texts: str) -> Example:
    return Example(Question("q", "summarize", ""), Reference(texts))


def scored(metric, hypotheses, references) -> list[list[Score]]:
    """Score each hypothesis against its references: one sample a question."""
    pairs = zip(hypotheses, zip(*references, strict=True), strict=True)
    return [[metric.score(answer(text), example(*texts))] for text, texts in pairs]


def corpus(metric, hypotheses, references) -> float:
    return metric.aggregate(scored(metric, hypotheses, references))


# sacreBLEU's test/test_bleu.py: test_corpus_bleu_cases, its README's example.
REFERENCES = [
    ["The dog bit the man.", "It was not unexpected.", "The man bit him first."],
    ["The dog had bit the man.", "No one was surprised.", "The man had bitten the dog."],
]
HYPOTHESES = [
    "The dog bit the man.",
    "It wasn't surprising.",
    "The man had just bitten him.",
]


@pytest.mark.parametrize(
    ("hypotheses", "options", "expected"),
    [
        (HYPOTHESES, {}, 48.530827),
        (["", "", ""], {}, 0.0),
        (HYPOTHESES, {"tokenize": "none"}, 49.1919566),
        (HYPOTHESES, {"tokenize": "13a"}, 48.530827),
        (HYPOTHESES, {"tokenize": "intl"}, 43.91623493),
    ],
)
def test_bleu_gives_the_table_of_sacrebleu(hypotheses, options, expected) -> None:
    assert corpus(bleu(**options), hypotheses, REFERENCES) == pytest.approx(expected, abs=1e-6)


# sacreBLEU's test/test_chrf.py: test_cases_effective_order; alike for beta 2 and 3, as the average
# precision and recall of each are equal.
@pytest.mark.parametrize(
    ("hypotheses", "references", "expected"),
    [
        (["a"], ["a"], 100.0),
        ([""], ["reference"], 0.0),
        (["a b c"], ["a b c"], 100.0),
        (["a b c"], ["abc"], 100.0),
        ([""], ["c"], 0.0),
        (["a", "b"], ["a", "c"], 50.0),
        (["aa"], ["ab"], 25.0),
    ],
)
def test_chrf_gives_the_table_of_sacrebleu(hypotheses, references, expected) -> None:
    assert corpus(chrf(), hypotheses, [references]) == pytest.approx(expected, abs=1e-4)


# sacreBLEU's test/test_ter.py.
@pytest.mark.parametrize(
    ("hypothesis", "reference", "expected"),
    [
        ("aaaa bbbb cccc dddd", "aaaa bbbb cccc dddd", 0),
        ("dddd eeee ffff", "aaaa bbbb cccc", 100),
        ("", "a", 100),
        ("d e f g h a b c", "a b c d e f g h", 100 / 8),
    ],
)
def test_ter_gives_the_table_of_sacrebleu(hypothesis, reference, expected) -> None:
    assert corpus(ter(), [hypothesis], [[reference]]) == pytest.approx(expected, abs=1e-3)


# The paper's sentences (Lin 2004, section 3.1: 3 of 4 words in order, and 2 of 4), and that of
# rouge-score's rouge_scorer_test, testRougeL (precision 1/3, recall 1).
@pytest.mark.parametrize(
    ("text", "reference", "expected"),
    [
        ("police kill the gunman", "police killed the gunman", 75.0),
        ("the gunman kill police", "police killed the gunman", 50.0),
        ("testing one two", "testing", 50.0),
        ("nothing in common", "police killed", 0.0),
        ("", "police killed", 0.0),
    ],
)
def test_rouge_l_gives_the_published_values(text, reference, expected) -> None:
    score = make_metric("ROUGE-L").score(answer(text), example(reference))
    assert score.value == pytest.approx(expected)


def test_rouge_l_takes_the_best_reference_and_its_figure_is_the_mean() -> None:
    metric = make_metric("ROUGE-L")
    best = metric.score(answer("a b c"), example("x y z", "a b c"))
    assert best.value == pytest.approx(100)
    worst = metric.score(answer("a b c"), example("x y z"))
    assert metric.aggregate([[best], [worst, worst]]) == pytest.approx(50)


def test_stems_count_only_where_they_are_asked_for() -> None:
    text, key = answer("sorting numbers"), example("sorts number")
    assert make_metric("ROUGE-L").score(text, key).value == 0
    assert make_metric("ROUGE-L+stem").score(text, key).value == pytest.approx(100)


LINES = st.lists(
    st.tuples(*[st.text("ab xyz.,()\n'", max_size=30)] * 2).filter(lambda pair: pair[1].strip()),
    min_size=1,
    max_size=6,
)


@given(LINES)
@settings(max_examples=60, deadline=None)
def test_sums_of_sentence_statistics_are_sacrebleus_corpus_score(pairs) -> None:
    hypotheses, references = map(list, zip(*pairs, strict=True))
    for ours, theirs in (
        (bleu(), sacrebleu.BLEU()),
        (bleu(lowercase=True, tokenize="char"), sacrebleu.BLEU(lowercase=True, tokenize="char")),
        (chrf(), sacrebleu.CHRF()),
        (chrf(word_order=2), sacrebleu.CHRF(word_order=2)),
        (ter(), sacrebleu.TER()),
        (ter(normalized=True), sacrebleu.TER(normalized=True)),
    ):
        expected = theirs.corpus_score(hypotheses, [references]).score
        assert corpus(ours, hypotheses, [references]) == pytest.approx(expected, abs=1e-9)


@given(LINES)
@settings(max_examples=30, deadline=None)
def test_a_single_score_is_sacrebleus_sentence_score(pairs) -> None:
    for text, reference in pairs:
        for name, theirs in (
            ("BLEU", sacrebleu.BLEU(effective_order=True)),
            ("chrF", sacrebleu.CHRF()),
            ("TER", sacrebleu.TER()),
        ):
            found = make_metric(name).score(answer(text), example(reference)).value
            expected = theirs.sentence_score(text, [reference]).score
            assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", ["BLEU", "chrF", "TER"])
def test_several_references_count_as_sacrebleu_has_them(name: str) -> None:
    metric = make_metric(name, references=2)
    theirs = {"BLEU": sacrebleu.BLEU, "chrF": sacrebleu.CHRF, "TER": sacrebleu.TER}[name]()
    expected = theirs.corpus_score(HYPOTHESES, REFERENCES).score
    assert corpus(metric, HYPOTHESES, REFERENCES) == pytest.approx(expected)
    assert metric.signature.partition("|")[2] == str(theirs.get_signature())


@pytest.mark.parametrize("name", ["BLEU", "chrF", "TER"])
def test_the_signature_is_sacrebleus_own(name: str) -> None:
    theirs = {"BLEU": sacrebleu.BLEU, "chrF": sacrebleu.CHRF, "TER": sacrebleu.TER}[name]()
    found = theirs.corpus_score(["a test"], [["one test"]])
    signature = make_metric(name, references=1).signature
    assert signature == f"{found.name}|{theirs.get_signature()}"
    # An unknown number of references is "var", as sacreBLEU writes it where it varies.
    assert make_metric(name).signature == signature.replace("nrefs:1", "nrefs:var")


def test_an_option_is_in_the_name_and_in_the_signature() -> None:
    plain, lower = make_metric("BLEU"), make_metric("BLEU+lowercase")
    assert (plain.name, lower.name) == ("BLEU", "BLEU+lowercase")
    assert "case:mixed" in plain.signature and "case:lc" in lower.signature
    score = lower.score(answer("THE DOG BIT"), example("the dog bit"))
    assert (score.metric, round(score.value)) == ("BLEU+lowercase", 100)


@pytest.mark.parametrize("name", TEXT_METRICS)
def test_what_has_no_reference_is_not_judged(name: str) -> None:
    metric = make_metric(name)
    for key in (example(), example(""), example("  \n", "")):
        score = metric.score(answer("a"), key)
        assert score.value is None and score.detail == "no reference"
    counted = make_metric(name, references=2)
    assert counted.score(answer("a"), example("a")).value is None
    assert counted.score(answer("a"), example("a", "b")).value is not None


@pytest.mark.parametrize("name", TEXT_METRICS)
def test_an_empty_answer_is_judged_and_is_the_worst(name: str) -> None:
    metric = make_metric(name)
    key = example("def f(x):\n    return x + 1")
    nothing = metric.score(answer(""), key).value
    assert nothing == (100 if name == "TER" else 0)
    right = metric.score(answer(key.reference.texts[0]), key).value
    assert right == (0 if name == "TER" else pytest.approx(100))


@pytest.mark.parametrize("name", TEXT_METRICS)
def test_unjudged_answers_leave_the_figure_and_never_lower_it(name: str) -> None:
    metric = make_metric(name)
    scores = scored(metric, HYPOTHESES, REFERENCES)
    unjudged = Score(name, None, "no reference")
    assert metric.aggregate([*scores, [unjudged], []]) == metric.aggregate(scores)
    assert metric.aggregate([[unjudged]]) is None
    assert metric.aggregate([]) is None


@pytest.mark.parametrize("name", TEXT_METRICS)
def test_scores_do_not_depend_on_threads(name: str) -> None:
    metric = make_metric(name)
    texts = [f"the man {'had ' * (n % 5)}bit dog {n}" for n in range(40)]
    keys = [example(f"the dog {n % 7} had bit the man") for n in range(40)]
    alone = [metric.score(answer(text), key) for text, key in zip(texts, keys, strict=True)]
    found: dict[int, Score] = {}

    def work(part: int) -> None:
        for n in range(part, 40, 4):
            found[n] = metric.score(answer(texts[n]), keys[n])

    threads = [threading.Thread(target=work, args=(part,)) for part in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert [found[n] for n in range(40)] == alone


def test_several_samples_are_segments_of_the_one_corpus() -> None:
    metric = bleu()
    one = scored(metric, HYPOTHESES, REFERENCES)
    together = [[score for scores in one for score in scores]]
    assert metric.aggregate(together) == metric.aggregate(one)
    assert not math.isclose(
        metric.aggregate(one), sum(score.value for (score,) in one) / 3, rel_tol=0.01
    ), "the figure is no mean of sentence scores"
