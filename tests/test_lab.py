"""The lab: how hits become a ranking, what a study keeps and repeats, and what it says of it."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from workbench.corpus.entries import make_document
from workbench.errors import BadInput, InUse, MissingModel, UnknownName, WorkbenchError
from workbench.lab import Arm, ArmResult, Cost, Interval, RetrievalReport
from workbench.lab import study as study_module
from workbench.lab.inspect import inspect_query
from workbench.lab.searching import (
    WHOLE,
    Units,
    WholeDocuments,
    answers,
    chunker_called,
    suite_chunks,
    usual_chunker,
)
from workbench.lab.study import arms_of, study
from workbench.lab.verdicts import compare, verdicts
from workbench.metrics.ranking import METRICS, score_rankings
from workbench.registry import Entry
from workbench.retrieval import embedders, rerank
from workbench.retrieval.lexical import K1, B
from workbench.retrieval.text import code_words, indexed_text
from workbench.settings import settings
from workbench.suites import Query, RetrievalSuite, Unit, load_suite
from workbench.suites.records import suite_digest
from workbench.types import Chunk, Document, Hit, TextKind

# Read once, as the fixture ``home`` takes WORKBENCH_* away; or where the checkout has it beside.
SIBLING = Path(__file__).parents[2] / "shared" / "data"
DATA = settings().data or (SIBLING if SIBLING.is_dir() else None)
DIMENSIONS = 16

VERBS = ["parse", "merge", "encode", "rotate", "balance", "schedule", "compress", "validate"]
NOUNS = ["tree", "socket", "matrix", "token", "invoice", "pixel"]


class FakeEmbedder:
    """Sums a fixed direction for each word, so that shared words mean nearness. Counts its work."""

    def __init__(self, fingerprint: str = "fake/1", error: Exception | None = None) -> None:
        self.fingerprint = fingerprint
        self.error = error
        self.encoded: Counter[TextKind] = Counter()

    def encode(self, texts: Sequence[str], kind: TextKind) -> np.ndarray:
        if self.error is not None:
            raise self.error
        self.encoded[kind] += len(texts)
        rows = [sum(map(direction, code_words(text)), direction("")) for text in texts]
        table = np.stack(rows) if rows else np.zeros((0, DIMENSIONS))
        return (table / np.linalg.norm(table, axis=1, keepdims=True)).astype(np.float32)


@cache
def direction(word: str) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
    return np.random.default_rng(seed).normal(size=DIMENSIONS)


def register(monkeypatch: pytest.MonkeyPatch, **fakes: FakeEmbedder) -> None:
    """Put embedders onto the menu, and nothing else that is loaded."""
    monkeypatch.setattr(embedders, "_loaded", dict(fakes))
    entries = {name: Entry(name, "none:none", "for tests") for name in fakes}
    known = {**embedders.EMBEDDERS._entries, **entries}
    monkeypatch.setattr(embedders.EMBEDDERS, "_entries", known)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeEmbedder:
    embedder = FakeEmbedder()
    register(monkeypatch, fake=embedder)
    return embedder


def document(path: str, text: str) -> Document:
    return make_document(path, text, source="tests", revision=None, license="MIT")


def make_suite(
    documents: Iterable[Document],
    units: Iterable[Unit],
    queries: dict[str, tuple[Query, ...]],
    *,
    name: str = "small",
    paths_are_ids: bool = False,
) -> RetrievalSuite:
    documents, units = tuple(documents), tuple(units)
    return RetrievalSuite(
        name=name,
        documents=documents,
        units=units,
        queries=queries,
        default_split="test",
        license="MIT",
        note="Made for tests.",
        digest=suite_digest(documents, units, queries),
        paths_are_ids=paths_are_ids,
    )


def function(verb: str, noun: str) -> str:
    return (
        f"def {verb}_{noun}(first):\n    result = first.{verb}({noun})\n    return {noun}, result"
    )


def whole_suite(**options: object) -> RetrievalSuite:
    """One function a document, asked for by its verb and noun."""
    pairs = [(verb, noun) for verb in VERBS for noun in NOUNS]
    documents = [document(f"{i}.py", function(*pair)) for i, pair in enumerate(pairs)]
    queries = tuple(
        Query(f"q{i}", f"how to {verb} a {noun}", {f"{i}.py": 1})
        for i, (verb, noun) in enumerate(pairs)
    )
    units = [Unit(one.path, one.path) for one in documents]
    splits = {"test": queries[:30], "dev": queries[30:]}
    return make_suite(documents, units, splits, **{"paths_are_ids": True, **options})  # type: ignore[arg-type]


def file_suite() -> RetrievalSuite:
    """Files of several functions; a unit is a function's rows."""
    documents, units, queries = [], [], []
    for noun in NOUNS:
        texts = [function(verb, noun) for verb in VERBS]
        documents.append(document(f"{noun}.py", "\n\n\n".join(texts) + "\n"))
        for place, verb in enumerate(VERBS):
            start = place * 5 + 1
            units.append(Unit(f"{verb}-{noun}", f"{noun}.py", start, start + 2))
            queries.append(Query(f"q-{verb}-{noun}", f"{verb} {noun}", {f"{verb}-{noun}": 1}))
    return make_suite(documents, units, {"test": tuple(queries)}, name="files")


def last(reports: Iterable[RetrievalReport]) -> RetrievalReport:
    *_, report = reports
    return report


def hits(*chunks: Chunk) -> list[Hit]:
    return [Hit(chunk, 1 / rank, rank) for rank, chunk in enumerate(chunks, 1)]


def rows(path: str, start: int, end: int) -> Chunk:
    text = "\n".join(["x"] * (end - start + 1))
    name = f"{path}:{start}-{end}"
    return Chunk(name, text, path, start, end, "python", None, "tests", None)


# --- from hits to units ----------------------------------------------------------------

FOUR = make_suite(
    [document("a.py", "x\n" * 40), document("b.py", "x\n" * 40)],
    [Unit("u1", "a.py", 1, 10), Unit("u2", "a.py", 11, 20), Unit("u3", "b.py", 5, 9)],
    {"test": (Query("q", "x", {"u2": 1}), Query("p", "x", {"u1": 1, "u3": 1}, one_suffices=True))},
)
Q, EITHER = FOUR.queries["test"]


def test_a_chunk_stands_for_the_units_it_overlaps_the_fullest_first() -> None:
    units = Units(FOUR)
    assert units.of(rows("a.py", 1, 10)) == ("u1",)
    assert units.of(rows("a.py", 10, 10)) == ("u1",)
    assert units.of(rows("a.py", 8, 20)) == ("u2", "u1")
    assert units.of(rows("a.py", 1, 40)) == ("u1", "u2"), "equal shares: by place"
    assert units.of(rows("a.py", 21, 40)) == units.of(rows("c.py", 1, 10)) == ()


def test_a_unit_counts_where_it_is_met_first() -> None:
    found = hits(rows("b.py", 6, 7), rows("a.py", 2, 3), rows("b.py", 8, 9), rows("a.py", 9, 12))
    assert Units(FOUR).ranking(found, Q) == ["u3", "u1", "u2"]


def test_a_chunk_of_no_unit_is_one_wrong_answer() -> None:
    found = hits(rows("a.py", 21, 25), rows("a.py", 26, 30), rows("a.py", 11, 20))
    ranking = Units(FOUR).ranking(found, Q)
    assert len(set(ranking)) == 3
    assert score_rankings([ranking], [answers(Q)])["MRR@10"][0] == pytest.approx(1 / 3)


def test_where_one_answer_suffices_any_of_them_is_all_of_them() -> None:
    units = Units(FOUR)
    for found in (hits(rows("b.py", 5, 9)), hits(rows("a.py", 1, 10), rows("b.py", 5, 9))):
        ranking = units.ranking(found, EITHER)
        assert len(ranking) == 1
        assert score_rankings([ranking], [answers(EITHER)])["recall@1"][0] == 1.0
    wrong = units.ranking(hits(rows("a.py", 11, 20), rows("a.py", 1, 10)), EITHER)
    assert score_rankings([wrong], [answers(EITHER)])["MRR@10"][0] == 0.5


@given(st.lists(st.tuples(st.integers(1, 48), st.integers(0, 12)), max_size=30))
@hypothesis_settings(max_examples=60, deadline=None)
def test_finer_chunks_never_list_a_unit_twice(places: list[tuple[int, int]]) -> None:
    suite = file_suite()
    units = Units(suite)
    found = hits(*{f"{s}-{n}": rows("tree.py", s, s + n) for s, n in places}.values())
    ranking = units.ranking(found, suite.queries["test"][0])
    assert len(set(ranking)) == len(ranking)
    known = {unit.id for unit in suite.units}
    met = {id_ for id_ in ranking if id_ in known}
    assert met == {id_ for hit in found for id_ in units.of(hit.chunk)}


def test_whole_documents_are_not_cut() -> None:
    suite = whole_suite()
    (chunk,) = WholeDocuments().chunk(suite.documents[0])
    assert chunk.text == suite.documents[0].text
    assert (chunk.start_line, chunk.end_line) == (1, 3)
    assert usual_chunker(suite) == WHOLE and usual_chunker(file_suite()) == "syntax"


@pytest.mark.parametrize("chunker", ["whole", "syntax", "lines"])
def test_paths_that_are_ids_are_not_indexed_and_not_lost(chunker: str) -> None:
    suite = whole_suite()
    chunks = list(suite_chunks(suite, chunker_called(chunker)))
    assert len({chunk.id for chunk in chunks}) == len(chunks)
    units = Units(suite)
    for chunk in chunks:
        assert ".py" not in indexed_text(chunk)
        assert units.of(chunk) == (units.located(chunk).path,)
    assert {units.located(chunk).path for chunk in chunks} == {d.path for d in suite.documents}


# --- the study -------------------------------------------------------------------------


def test_a_study_yields_after_each_arm_and_ends_with_verdicts(fake: FakeEmbedder) -> None:
    reports = list(study(whole_suite(), ["fake"]))
    assert [len(report.results) for report in reports] == [1, 2, 3, 3]
    assert [bool(report.verdicts) for report in reports] == [False, False, False, True]
    names = [one.arm.name for one in reports[-1].results]
    assert names == ["bm25", "fake dense", "fake hybrid"]
    for one in reports[-1].results:
        assert one.error is None and set(one.scores) == set(METRICS)
        assert all(values.shape == (30,) for values in one.scores.values())
        for metric, mean in one.means.items():
            assert mean.mean == pytest.approx(one.scores[metric].mean())
            assert mean.low <= mean.mean <= mean.high
    assert reports[-1].arm("bm25").means["MRR@10"].mean > 0.9, "each query names its function"


def test_words_are_measured_once_for_each_chunker(fake: FakeEmbedder) -> None:
    arms = arms_of(file_suite(), ["fake", "fake", "static"], ["lines", "syntax"])
    names = [arm.name for arm in arms]
    assert len(set(names)) == len(names) == 2 * (1 + 2 * 2)
    assert names[:5] == [
        "bm25 / lines", "fake dense / lines", "fake hybrid / lines",
        "static dense / lines", "static hybrid / lines",
    ]  # fmt: skip


@pytest.mark.parametrize("chunker", ["syntax", "lines"])
def test_rows_decide_what_is_right_whatever_cut_them(fake: FakeEmbedder, chunker: str) -> None:
    report = last(study(file_suite(), ["fake"], [chunker], ["bm25"]))
    (one,) = report.results
    assert one.error is None
    # Each file is one window: it leads to all eight of its functions.
    expected = {"syntax": 0.95, "lines": sum(1 / rank for rank in range(1, 9)) / 8 - 0.01}
    assert one.means["MRR@10"].mean >= expected[chunker]


def test_the_same_study_again_computes_nothing(fake: FakeEmbedder) -> None:
    first = last(study(whole_suite(), ["fake"]))
    before = Counter(fake.encoded)
    again = last(study(whole_suite(), ["fake"]))
    assert fake.encoded == before
    for one, other in zip(first.results, again.results, strict=True):
        assert one.arm == other.arm and one.cost == other.cost and one.means == other.means
        for metric in METRICS:
            np.testing.assert_array_equal(one.scores[metric], other.scores[metric])
    assert first.verdicts == again.verdicts


def test_a_study_goes_on_where_it_was_left(fake: FakeEmbedder) -> None:
    reports = study(whole_suite(), ["fake"])
    next(reports), next(reports)
    reports.close()  # type: ignore[attr-defined]
    encoded = fake.encoded["query"]
    report = last(study(whole_suite(), ["fake"]))
    assert len(report.results) == 3
    assert fake.encoded["query"] - encoded == 30 + 30 + 1, "hybrid alone: searched, timed, warmed"


def test_a_damaged_result_is_measured_again(fake: FakeEmbedder, home: Path) -> None:
    first = last(study(whole_suite(), ["fake"], retrievers=["dense"]))
    (kept,) = (home / "studies").glob("*/*.json")
    table = json.loads(kept.read_text(encoding="utf-8"))
    short = {**table, "scores": {name: v[:5] for name, v in table["scores"].items()}}
    for damage in ("", "{", "[]", '{"scores": {}}', json.dumps(short)):
        kept.write_text(damage, encoding="utf-8")
        again = last(study(whole_suite(), ["fake"], retrievers=["dense"]))
        assert again.results[0].means == first.results[0].means
        assert json.loads(kept.read_text(encoding="utf-8"))["scores"] == table["scores"]


@pytest.mark.parametrize("change", ["suite", "split", "limit", "depth", "model", "version"])
def test_what_changed_is_measured_anew(
    change: str, fake: FakeEmbedder, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite, options = whole_suite(), {}
    last(study(suite, ["fake"], retrievers=["dense"]))
    if change == "suite":
        documents = (document("0.py", "def other():\n    return 0"), *suite.documents[1:])
        suite = make_suite(documents, suite.units, dict(suite.queries), paths_are_ids=True)
    elif change == "model":
        fake.fingerprint = "fake/2"
    elif change == "version":
        monkeypatch.setattr(study_module, "MEASURED_BY", "study/next")
    else:
        options = {"split": {"split": "dev"}, "limit": {"limit": 7}, "depth": {"depth": 5}}[change]
    before = fake.encoded["query"]
    report = last(study(suite, ["fake"], retrievers=["dense"], **options))  # type: ignore[arg-type]
    assert fake.encoded["query"] > before
    assert len(report.query_ids) == {"split": 18, "limit": 7}.get(change, 30)
    assert len(list((home / "studies").glob("*/*.json"))) == 2


def test_a_limit_spreads_over_all_queries(fake: FakeEmbedder) -> None:
    report = last(study(whole_suite(), ["fake"], retrievers=["bm25"], limit=4))
    assert report.query_ids == ("q0", "q10", "q19", "q29")


@pytest.mark.parametrize(
    "error", [MissingModel("The weights are gone.", "Fetch them."), RuntimeError("out of\nmemory")]
)
def test_a_broken_embedder_fails_its_arms_and_no_others(
    error: Exception, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    broken, works = FakeEmbedder("broken/1", error), FakeEmbedder()
    register(monkeypatch, broken=broken, works=works)
    report = last(study(whole_suite(), ["broken", "works"]))
    failed = [one for one in report.results if one.error is not None]
    assert {one.arm.embedder for one in failed} == {"broken"} and len(failed) == 2
    for one in failed:
        assert not one.scores and not one.means and one.cost is None
        assert one.error and "\n" not in one.error and str(error).split("\n")[0] in one.error
    assert not any("broken" in (verdict.a + verdict.b) for verdict in report.verdicts)
    assert np.isnan(report.df.set_index("arm")[METRICS[0]]["broken dense"])
    # Nothing of a failure is kept: once mended, it is measured.
    broken.error = None
    mended = last(study(whole_suite(), ["broken", "works"]))
    assert all(one.error is None for one in mended.results)


@pytest.mark.parametrize("error", [InUse("Somebody writes."), OSError("No space left.")])
def test_a_result_that_cannot_be_kept_is_still_a_result(
    error: Exception, fake: FakeEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(study_module, "exclusive", refuse)
    (one,) = last(study(whole_suite(), ["fake"], retrievers=["bm25"])).results
    assert one.error is None and one.means["MRR@10"].mean > 0.9


def test_words_are_measured_while_any_embedder_works(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = FakeEmbedder("b/1", RuntimeError("out of memory"))
    register(monkeypatch, broken=broken, static=FakeEmbedder("s/1", MissingModel("No static.")))
    (one,) = last(study(whole_suite(), ["broken"], retrievers=["bm25"])).results
    assert one.error == "RuntimeError: out of memory", "what was asked for comes first"
    register(monkeypatch, broken=broken, static=FakeEmbedder())
    (one,) = last(study(whole_suite(), ["broken"], retrievers=["bm25"])).results
    assert one.error is None


def test_a_reranker_orders_the_hits_of_another_retriever(
    fake: FakeEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def judge(query: str, texts: Sequence[str]) -> np.ndarray:
        return np.array([len(set(code_words(query)) & set(code_words(text))) for text in texts])

    monkeypatch.setitem(rerank._loaded, "cross-encoder/words", judge)
    ways = ["dense", "dense+cross-encoder/words"]
    report = last(study(whole_suite(), ["fake"], retrievers=ways))
    plain, reranked = report.results
    assert reranked.arm.name == "fake dense+cross-encoder/words" and reranked.error is None
    assert reranked.means["MRR@10"].mean > plain.means["MRR@10"].mean
    found = inspect_query(whole_suite(), "q1", [reranked.arm]).found[0]
    assert found.rank == 1


def test_costs_say_what_was_built_and_leave_out_what_was_cached(fake: FakeEmbedder) -> None:
    first = last(study(whole_suite(), ["fake"]))
    dense, bm25 = first.arm("fake dense").cost, first.arm("bm25").cost
    assert dense is not None and bm25 is not None
    assert dense.chunks == bm25.chunks == 48
    assert dense.vector_megabytes == pytest.approx(48 * DIMENSIONS * 4 / 1e6)
    assert bm25.vector_megabytes == 0 and bm25.texts_per_second is None
    assert dense.build_seconds and bm25.build_seconds
    assert dense.build_seconds > bm25.build_seconds > 0
    assert 0 < dense.query_median <= dense.query_p95
    # The same texts under another name: every vector is in the cache.
    second = last(study(whole_suite(name="copy"), ["fake"], split="dev"))
    cached = second.arm("fake dense").cost
    assert cached is not None
    assert cached.build_seconds is None and cached.texts_per_second is None
    assert cached.vector_megabytes == dense.vector_megabytes


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"embedders": ["fak"]}, UnknownName, "Did you mean fake"),
        ({"chunkers": ["line"]}, UnknownName, "Did you mean lines"),
        ({"retrievers": ["bm52"]}, UnknownName, "Did you mean bm25"),
        ({"retrievers": ["bm25+other/x"]}, UnknownName, "No reranker is called"),
        ({"retrievers": ["bm25+cross-encoder"]}, BadInput, "Which cross-encoder"),
        ({"retrievers": []}, BadInput, "nothing to measure"),
        ({"embedders": [], "retrievers": ["dense"]}, BadInput, "nothing to measure"),
        ({"split": "tset"}, UnknownName, "Did you mean test"),
        ({"metric": "MRR"}, UnknownName, "MRR@10"),
        ({"limit": 1}, BadInput, "too few"),
        ({"limit": -3}, BadInput, "too few"),
        ({"depth": 0}, BadInput, "depth is 0"),
    ],
)
def test_a_wrong_call_is_told_before_anything_is_built(
    options: dict[str, object],
    error: type[WorkbenchError],
    says: str,
    fake: FakeEmbedder,
    home: Path,
) -> None:
    with pytest.raises(error, match=says):
        study(whole_suite(), **{"embedders": ["fake"], **options})  # type: ignore[arg-type]
    assert not (home / "indexes").exists()


# --- BM25 against an independent implementation ----------------------------------------


def bm25_mrr(texts: Sequence[str], queries: Sequence[tuple[str, int]]) -> float:
    """Compute MRR@10 of BM25 from its formula alone, sharing only the words with the index.

    Robertson and Zaragoza 2009, equation 3.15, with Lucene's idf, ln(1 + (N - n + 0.5) / (n +
    0.5)), which is never negative; equal scores by position.
    """
    counts = [Counter(code_words(text)) for text in texts]
    lengths = np.array([sum(count.values()) for count in counts], dtype=float)
    share = lengths / lengths.mean()
    holders: dict[str, list[int]] = {}
    for position, count in enumerate(counts):
        for word in count:
            holders.setdefault(word, []).append(position)
    total = 0.0
    for query, right in queries:
        scores = np.zeros(len(texts))
        for word in code_words(query):
            found = np.array(holders.get(word, []), dtype=int)
            idf = math.log(1 + (len(texts) - len(found) + 0.5) / (len(found) + 0.5))
            often = np.array([counts[position][word] for position in found], dtype=float)
            scores[found] += idf * often / (often + K1 * (1 - B + B * share[found]))
        order = np.lexsort((np.arange(len(texts)), -scores))[:10]
        places = np.flatnonzero(order == right)
        total += 1 / (places[0] + 1) if len(places) and scores[right] > 0 else 0.0
    return total / len(queries)


def against_reference(suite: RetrievalSuite) -> tuple[float, float]:
    report = last(study(suite, ["fake"], retrievers=["bm25"]))
    position = {one.path: place for place, one in enumerate(suite.documents)}
    queries = [
        (query.text, position[next(iter(query.relevant))])
        for query in suite.queries[suite.default_split]
    ]
    expected = bm25_mrr([one.text for one in suite.documents], queries)
    return report.arm("bm25").means["MRR@10"].mean, expected


def test_bm25_agrees_with_its_formula_on_a_small_suite(fake: FakeEmbedder) -> None:
    suite = whole_suite()
    # By their nouns alone, which eight functions share: not every rank is the first.
    vague = tuple(replace(q, text=q.text.split()[-1] + " result") for q in suite.queries["test"])
    suite = make_suite(suite.documents, suite.units, {"test": vague}, paths_are_ids=True)
    found, expected = against_reference(suite)
    assert found == pytest.approx(expected, abs=1e-6)
    assert 0.1 < found < 0.9


@pytest.mark.skipif(
    DATA is None or not (DATA / "cosqa").is_dir(),
    reason="CoSQA is not here: set WORKBENCH_DATA to a folder that holds cosqa/",
)
def test_bm25_agrees_with_its_formula_on_cosqa(
    fake: FakeEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_DATA", str(DATA))
    found, expected = against_reference(load_suite("cosqa"))
    assert found == pytest.approx(expected, abs=0.005)
    assert found == pytest.approx(0.326, abs=0.005), "tests/benchmarks/retrieval.md"


# --- verdicts --------------------------------------------------------------------------


def measured(name: str, values: np.ndarray, **options: object) -> ArmResult:
    embedder, _, retriever = name.rpartition(" ")
    arm = Arm(
        retriever, embedder or None, str(options.get("chunker", "whole")), "chunker" in options
    )
    scores = dict.fromkeys(METRICS, values)
    mean = float(values.mean())
    means = dict.fromkeys(METRICS, Interval(mean, mean - 0.01, mean + 0.01))
    return ArmResult(arm, scores, means, Cost(10, 1.0, 20.0, 0.1, 1.0, 2.0))


def noise(mean: float, seed: int, spread: float = 0.05, count: int = 300) -> np.ndarray:
    return np.clip(np.random.default_rng(seed).normal(mean, spread, count), 0, 1)


ARMS = [
    measured("bm25", noise(0.40, 1)),
    measured("good dense", noise(0.60, 2)),
    measured("good hybrid", noise(0.50, 3)),
    measured("poor dense", noise(0.30, 4)),
    measured("poor hybrid", noise(0.402, 5)),
    ArmResult(Arm("dense", "gone", "whole"), error="No weights."),
]


def test_verdicts_are_plain_sentences_the_most_important_first() -> None:
    said = [verdict.sentence for verdict in verdicts(ARMS, "nDCG@10")]
    assert said[0].startswith("good dense beats poor hybrid by 0.20 nDCG@10 (95 % interval 0.19 to")
    assert said[1].startswith("good dense beats bm25 by 0.20 nDCG@10")
    assert [line.split(" by ")[0] for line in said[2:4]] == [
        "good hybrid beats bm25",
        "bm25 beats poor dense",
    ]
    assert said[4].startswith("poor hybrid is within noise of bm25 (")
    assert len(said) == 5
    assert not any("gone" in line for line in said)


def test_a_verdict_names_the_metric_it_is_about() -> None:
    assert all("recall@5" in verdict.sentence for verdict in verdicts(ARMS, "recall@5"))
    with pytest.raises(UnknownName):
        verdicts(ARMS, "accuracy")


def test_chunkers_meet_with_their_best_arm() -> None:
    arms = [
        measured("bm25", noise(0.4, 1), chunker="lines"),
        measured("good dense", noise(0.6, 2), chunker="lines"),
        measured("good dense", noise(0.5, 3), chunker="syntax"),
    ]
    assert [verdict.sentence.split(" by ")[0] for verdict in verdicts(arms)] == [
        "good dense / lines beats good dense / syntax",
        "good dense / lines beats bm25 / lines",
    ], "each meets the words of its own chunker"


def test_what_lies_between_is_within_noise_both_ways() -> None:
    a, b = measured("a dense", noise(0.5, 1, 0.3)), measured("b dense", noise(0.51, 2, 0.3))
    for verdict in (compare(a, b), compare(b, a)):
        assert verdict.better is None and verdict.low < 0 < verdict.high
        assert "is within noise of" in verdict.sentence
    there, back = compare(ARMS[1], ARMS[0]), compare(ARMS[0], ARMS[1])
    assert there.sentence == back.sentence and there.better == back.better == "good dense"


def test_small_differences_are_not_written_as_zero() -> None:
    base = noise(0.5, 1)
    verdict = compare(measured("a dense", base + 0.003), measured("b dense", base))
    assert verdict.sentence == (
        "a dense beats b dense by 0.003 nDCG@10 (95 % interval 0.003 to 0.003)"
    )


def test_many_comparisons_take_back_a_lucky_one() -> None:
    base = noise(0.5, 1, 0.2, 100)
    by = np.random.default_rng(7).normal(0, 0.1, 100)
    lucky = base + by - by.mean() + 0.022
    alone = compare(measured("lucky dense", lucky), measured("bm25", base))
    assert alone.better == "lucky dense" and 0.005 < alone.p_value < 0.05
    others = [measured(f"e{i} dense", noise(0.5, 10 + i, 0.2, 100)) for i in range(6)]
    among = verdicts([measured("bm25", base), measured("lucky dense", lucky), *others])
    (found,) = (one for one in among if {one.a, one.b} == {"lucky dense", "bm25"})
    assert found.p_value > 0.05 > alone.p_value
    assert f"not sure among {len(among)} comparisons" in found.sentence


def test_arms_of_different_queries_are_not_compared() -> None:
    with pytest.raises(ValueError, match="no pairs"):
        compare(measured("a dense", noise(0.5, 1)), measured("b dense", noise(0.5, 1, count=10)))


# --- the report ------------------------------------------------------------------------


@pytest.fixture
def report() -> RetrievalReport:
    results = tuple(replace(one, arm=replace(one.arm)) for one in ARMS)
    return RetrievalReport(
        suite="small", split="test", digest="0" * 64, note="Made <b>for</b> tests.",
        metric="nDCG@10", query_ids=tuple(f"q{i}" for i in range(300)), results=results,
        verdicts=verdicts(results), environment={"hardware": {"cores": 2, "processor": "x"}},
    )  # fmt: skip


def test_the_table_is_sorted_and_failures_stand_last(report: RetrievalReport) -> None:
    table = report.df
    assert table["arm"].tolist()[:2] == ["good dense", "good hybrid"]
    assert table["arm"].tolist()[-2:] == ["poor dense", "gone dense"]
    assert table["nDCG@10"].dropna().is_monotonic_decreasing
    assert table.iloc[-1]["error"] == "No weights." and np.isnan(table.iloc[-1]["nDCG@10"])
    assert {"nDCG@10 low", "nDCG@10 high", "query ms", "vectors MB"} <= set(table.columns)


def test_the_report_is_one_table_in_every_form(report: RetrievalReport, tmp_path: Path) -> None:
    markdown = report.to_markdown()
    best = f"{report.arm('good dense').means['nDCG@10'].mean:.3f}"
    assert f"| good dense | **{best} (" in markdown and "failed: No weights." in markdown
    assert markdown.count("\n| ") == 1 + len(ARMS)
    html = report.to_html(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == html
    assert f"<b>{best}</b>" in html and "No weights." in html and "Made &lt;b&gt;for" in html
    assert 'src="http' not in html and "<link" not in html, "it needs nothing else"
    for verdict in report.verdicts:
        assert f"- {verdict.sentence}." in markdown and verdict.sentence in html
    assert "Holm" in markdown and "Holm" in html


def test_json_carries_every_score(report: RetrievalReport) -> None:
    table = json.loads(report.to_json())
    assert len(table["queries"]) == 300
    by_name = {arm["name"]: arm for arm in table["arms"]}
    for one in report.results:
        again = by_name[one.arm.name]
        assert again["error"] == one.error
        for metric, values in one.scores.items():
            np.testing.assert_array_equal(again["scores"][metric], values)
    assert [one["sentence"] for one in table["verdicts"]] == [
        one.sentence for one in report.verdicts
    ]


def test_any_two_arms_are_compared_by_name(report: RetrievalReport) -> None:
    verdict = report.compare("good dense", "poor dense", "MRR@10")
    assert verdict.better == "good dense" and verdict.metric == "MRR@10"
    with pytest.raises(UnknownName, match="Did you mean good dense"):
        report.compare("god dense", "bm25")
    with pytest.raises(BadInput, match="gone dense was not measured: No weights"):
        report.compare("gone dense", "bm25")


def test_a_report_of_failures_only_shows_itself(report: RetrievalReport) -> None:
    failed = replace(report, results=report.results[-1:], verdicts=())
    assert "No weights." in failed._repr_html_() and "No weights." in failed.to_markdown()
    assert "No weights." in failed.to_html()
    assert replace(report, results=(), verdicts=()).df.empty


# --- the inspector ---------------------------------------------------------------------


def test_an_inspection_marks_what_is_right_and_says_where_it_ranked(fake: FakeEmbedder) -> None:
    suite = whole_suite()
    query = suite.queries["test"][3]
    inspection = inspect_query(suite, query.id, arms_of(suite, ["fake"]))
    assert inspection.query_id == "q3" and inspection.query == query.text
    assert inspection.answers == {"3.py": suite.documents[3].text}
    assert [found.arm.name for found in inspection.found] == ["bm25", "fake dense", "fake hybrid"]
    for found in inspection.found:
        assert found.error is None and found.depth == 1000
        assert len(found.hits) == len(found.right) <= 10
        paths = [hit.chunk.path for hit in found.hits]
        assert [path == "3.py" for path in paths] == list(found.right)
        assert found.rank is not None
        if found.rank <= 10:
            assert found.right.index(True) + 1 == found.rank
    assert inspection.found[0].rank == 1 and inspection.found[0].words == ()


def misled() -> RetrievalSuite:
    """The query shares more words with a wrong function than with the right one."""
    documents = [
        document("right.py", "def load(path):\n    text = path.read()\n    return text"),
        document("wrong.py", "def sum_file(file, lines):\n    return sum(file.count(lines))"),
        document("other.py", "class Colour:\n    red = 1"),
    ]
    queries = (Query("q", "read lines lines of a file", {"right.py": 1}),)
    units = [Unit(one.path, one.path) for one in documents]
    return make_suite(documents, units, {"test": queries}, paths_are_ids=True)


def test_the_words_that_misled_bm25_sum_to_its_scores(fake: FakeEmbedder) -> None:
    suite = misled()
    found = inspect_query(suite, "q", arms_of(suite, ["fake"])).found[0]
    assert found.rank == 2 and [hit.chunk.path for hit in found.hits] == ["wrong.py", "right.py"]
    wrong, right = (sum(column) for column in list(zip(*found.words, strict=True))[1:])
    assert wrong == pytest.approx(found.hits[0].score, rel=1e-5)
    assert right == pytest.approx(found.hits[1].score, rel=1e-5)
    assert found.words[0][0] == "lines", "the word that is asked for twice pulls most"
    assert {word: b > a for word, a, b in found.words}["read"]


def test_words_of_a_dense_arm_are_falls_of_the_cosine(fake: FakeEmbedder) -> None:
    suite = misled()
    (found,) = inspect_query(suite, "q", arms_of(suite, ["fake"], (), ["dense"])).found
    assert found.rank is not None and found.rank > 1, "else nothing misled it"
    text = suite.queries["test"][0].text
    without = text.replace("read ", "", 1)
    first, second = fake.encode([text, without], "query")
    chunks = [hit.chunk for hit in found.hits]
    bare = [replace(chunks[0], path=""), replace(chunks[found.rank - 1], path="")]
    sides = fake.encode([indexed_text(chunk) for chunk in bare], "document")
    expected = sides @ (first - second)
    (read,) = (row for row in found.words if row[0] == "read")
    assert read[1:] == pytest.approx(tuple(expected), abs=1e-5)


def test_a_right_answer_beyond_the_depth_has_no_rank_but_words(fake: FakeEmbedder) -> None:
    suite = misled()
    found = inspect_query(suite, "q", arms_of(suite, ["fake"]), depth=1).found[0]
    assert found.rank is None and found.right == (False,) and found.depth == 1
    assert {word for word, _, right in found.words if right} == {"read"}


def test_a_free_text_is_searched_and_not_judged(fake: FakeEmbedder) -> None:
    suite = whole_suite()
    inspection = inspect_query(suite, "  merge a matrix ", arms_of(suite, ["fake"]))
    assert inspection.query_id is None and inspection.query == "merge a matrix "
    assert not inspection.answers
    for found in inspection.found:
        assert found.hits and not any(found.right)
        assert found.rank is None and found.words == ()


def test_a_broken_arm_is_told_beside_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = FakeEmbedder("b/1", MissingModel("No weights."))
    register(monkeypatch, broken=broken, works=FakeEmbedder())
    suite = whole_suite()
    inspection = inspect_query(suite, "q1", arms_of(suite, ["broken", "works"]))
    errors = {found.arm.name: found.error for found in inspection.found}
    assert errors["broken dense"] and "No weights." in errors["broken dense"]
    assert errors["bm25"] is errors["works dense"] is None


@pytest.mark.parametrize(("query", "depth"), [("  ", 10), ("x", 0)])
def test_what_cannot_be_inspected_is_refused(query: str, depth: int, fake: FakeEmbedder) -> None:
    with pytest.raises(BadInput):
        inspect_query(whole_suite(), query, [], depth=depth)
    with pytest.raises(UnknownName, match="Did you mean test"):
        inspect_query(whole_suite(), "x", [], split="tset")


def test_an_id_is_looked_up_in_its_split(fake: FakeEmbedder) -> None:
    suite = whole_suite()
    assert inspect_query(suite, "q40", []).query_id == "q40"
    assert inspect_query(suite, "q40", [], split="dev").query_id == "q40"
    assert inspect_query(suite, "q40", [], split="test").query_id is None


def test_several_functions_of_a_file_are_told_apart(fake: FakeEmbedder) -> None:
    suite = file_suite()
    last(study(suite, ["fake"], retrievers=["bm25"], limit=2))
    # No embedder is named: the index that is there will do.
    inspection = inspect_query(suite, "q-rotate-pixel", arms_of(suite, (), (), ["bm25"]))
    assert inspection.answers == {"rotate-pixel": function("rotate", "pixel")}
    (found,) = inspection.found
    symbols = [
        hit.chunk.symbol for hit, right in zip(found.hits, found.right, strict=True) if right
    ]
    assert symbols == ["rotate_pixel"]


def test_without_a_chunker_the_suite_decides() -> None:
    assert arms_of(file_suite(), ["static"])[0] == Arm("bm25", None, "syntax")
    assert arms_of(whole_suite(), ["static"])[0] == Arm("bm25", None, "whole")
