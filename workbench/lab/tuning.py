"""Tune an embedder on a corpus, and measure what that was good for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from workbench.corpus import open_corpus
from workbench.corpus.mining import Mined, mine
from workbench.corpus.store import read_corpus
from workbench.errors import BadInput
from workbench.lab.study import study
from workbench.lab.verdicts import compare
from workbench.retrieval import EMBEDDERS
from workbench.settings import settings
from workbench.suites import RETRIEVAL_SUITES, load_suite
from workbench.suites.mined import mined_suite
from workbench.training.embedder import Tuned, tune
from workbench.training.recipe import default_recipe

if TYPE_CHECKING:
    from workbench.lab.records import Verdict
    from workbench.lab.report import RetrievalReport
    from workbench.suites import RetrievalSuite
    from workbench.types import Document

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_METRICS = ("MRR@10", "nDCG@10")


@dataclass(frozen=True, slots=True)
class TuningReport:
    """An embedder that was tuned, and how it does beside its base.

    ``embedder`` is the name to use it by. There is a report a suite: queries held out of the
    corpus, and CoSQA's where its data is here. ``verdicts`` compare it with its base on each.
    """

    embedder: str
    corpus: str
    tuned: Tuned
    reports: tuple[RetrievalReport, ...] = field(repr=False)
    verdicts: tuple[tuple[str, Verdict], ...] = field(repr=False)

    def __str__(self) -> str:
        tuned = self.tuned
        done = "unchanged since" if tuned.unchanged else "trained in"
        return (
            f"{self.embedder}: {tuned.base} on {tuned.pairs:,} pairs of {self.corpus},"
            f" {done} {tuned.seconds:.0f} s"
        )

    def table(self) -> dict[str, Any]:
        """Return everything but the scores of single queries, as plain values."""
        return {
            "embedder": self.embedder,
            "corpus": self.corpus,
            **{name: value for name, value in asdict(self.tuned).items() if name != "folder"},
            "verdicts": [
                {"suite": suite, **asdict(verdict), "better": verdict.better}
                for suite, verdict in self.verdicts
            ],
        }

    def _repr_html_(self) -> str:
        from html import escape

        said = "".join(
            f"<li>{escape(suite)}: {escape(verdict.sentence)}</li>"
            for suite, verdict in self.verdicts
        )
        tables = "".join(report._repr_html_() for report in self.reports)
        return f"<p><b>{escape(str(self))}</b></p><ul>{said}</ul>{tables}"


def tune_embedder(
    corpus: str,
    base: str = "minilm",
    name: str | None = None,
    *,
    evaluate: bool = True,
    **recipe: Any,
) -> TuningReport:
    """Tune ``base`` on pairs mined from a corpus, and measure it before and after.

    ``corpus`` is a crawled corpus, or a suite such as cosqa, whose documents are mined without
    its queries. The embedder is ``tuned/NAME`` from then on. ``recipe`` are settings of
    ``training.recipe.Recipe``. Only pairs of the split "train" are trained on; the split
    "test", from other files, is what it is measured by, beside CoSQA's queries.

    Raises:
        MissingCorpus: there is no such corpus.
        BadInput: the base cannot be tuned, the name cannot be used, or there are too few pairs.
        MissingExtra: the packages that train, or measure, are not installed.
    """
    called = name or f"{base.rstrip('/').rpartition('/')[2]}-{corpus.replace(':', '-')}"
    if not _NAME.fullmatch(called):
        raise BadInput(
            f"An embedder cannot be called '{called}'.", "Use letters, digits, '.', '_' and '-'."
        )
    documents, digest = _documents(corpus)
    mined = mine(documents)
    chosen = default_recipe(base, **recipe)
    out = settings().home / "embedders" / called
    tuned = tune(mined.split("train"), base, out, chosen, corpus_digest=digest)
    embedder = f"tuned/{called}"
    reports = tuple(_measured(corpus, mined, base, embedder)) if evaluate else ()
    verdicts = tuple(
        (report.title, compare(report.results[1], report.results[0], metric))
        for report in reports
        for metric in _METRICS
        if not any(one.error for one in report.results)
    )
    return TuningReport(embedder, corpus, tuned, reports, verdicts)


def _documents(corpus: str) -> tuple[Iterator[Document], str]:
    kind = corpus.partition(":")[0]
    if read_corpus(corpus) is None and kind in RETRIEVAL_SUITES and kind != "mined":
        suite = load_suite(corpus)
        # Its paths may be running numbers of no meaning; a function is then its own file.
        return iter(suite.documents), suite.digest
    opened = open_corpus(corpus)
    return opened.documents(), opened.digest


def _measured(corpus: str, mined: Mined, base: str, embedder: str) -> Iterator[RetrievalReport]:
    before = base if base in EMBEDDERS else f"sentence-transformers/{base}"
    for suite in _suites(corpus, mined):
        *_, report = study(suite, [before, embedder], retrievers=["dense"])
        yield report


def _suites(corpus: str, mined: Mined) -> Iterator[RetrievalSuite]:
    """Yield the corpus's held-out queries, and CoSQA's."""
    if mined.split("test"):
        yield mined_suite(corpus, mined)
    data = settings().data
    if data is not None and (data / "cosqa").is_dir():
        yield load_suite("cosqa")
