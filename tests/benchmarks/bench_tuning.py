"""Tune minilm by several recipes, choose on CoSQA's dev queries, and measure the choice on test.

Two kinds of training pairs are kept apart. *Inductive* pairs are mined from crawled corpora other
than CoSQA's; near duplicates of its functions are left out. *Transductive* pairs are mined from
CoSQA's pool of functions, without its queries: that is adapting to the corpus to be searched, as
anybody may who has a corpus, and says less about other corpora.

Every trial is kept in WORKBENCH_HOME, its scores on the test queries unseen: a second run goes on
where the first ended. Only the trial of each kind that is best on dev is looked at on test.
``--write`` writes the upper part of ``tuning.md``; what stands below its last heading stays.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.corpus import list_corpora
from workbench.corpus.mining import Mined, MinedPair, mine
from workbench.durable import replace_durably
from workbench.metrics.ranking import score_rankings
from workbench.progress import bar
from workbench.retrieval import load_embedder
from workbench.settings import settings
from workbench.statistics import paired_bootstrap
from workbench.suites import RetrievalSuite, load_suite
from workbench.training.embedder import Recipe, base_folder, tune
from workbench.training.trainer import save_average
from workbench.types import TextKind

Vectors = NDArray[np.float32]

TABLE = Path(__file__).with_name("tuning.md")
BY_HAND = "## Looked at by hand"
BASE = "minilm"
METRICS = ("MRR@10", "nDCG@10")
DEPTH = 20


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """One recipe on the first ``pairs`` training pairs of a kind, evenly spread."""

    kind: str
    pairs: int
    recipe: Mapping[str, float]

    @property
    def name(self) -> str:
        """Name the embedder: all that tells it from the other trials."""
        parts = [f"{name}{value:g}" for name, value in sorted(self.recipe.items())]
        pairs = "all" if self.pairs == EVERY else str(self.pairs)
        return "-".join(["trial", self.kind, pairs, *parts])

    def __str__(self) -> str:
        return ", ".join(f"{name} {value:g}" for name, value in self.recipe.items())


# In order of promise. Each differs from the defaults of ``Recipe`` by what it names. One training
# serves all weights of the average with the base.
EVERY = 1_000_000
WEIGHTS = (0.25, 0.35, 0.5, 0.75)
RECIPES = (
    (EVERY, {}),
    (EVERY, {"epochs": 2}),
    (EVERY, {"documented": 0.0}),
    (EVERY, {"learning_rate": 1e-4}),
    (EVERY, {"hard_negatives": 1}),
    (EVERY, {"web_style": 0.0}),
    (3072, {"learning_rate": 3e-5}),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A trial's scores by split and metric, one a query, and what it took."""

    examples: int
    seconds: float
    losses: tuple[float, ...]
    scores: Mapping[str, Mapping[str, NDArray[np.float64]]] = field(repr=False)

    def mean(self, split: str, metric: str = METRICS[0]) -> float:
        """Return the mean of a metric over a split's queries."""
        return float(self.scores[split][metric].mean())


def main() -> None:
    """Run the trials that are asked for, and print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=["transductive", "inductive"], action="append")
    parser.add_argument("--recipes", type=int, default=len(RECIPES), help="at most so many")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    suite = load_suite("cosqa")
    outcomes: dict[Trial, Outcome] = {}
    mined = {kind: pairs_of(kind, suite) for kind in options.kind or ("transductive", "inductive")}
    before = measure(suite, BASE)
    for kind, pairs in mined.items():
        for count, recipe in RECIPES[: options.recipes]:
            for weight in WEIGHTS:
                trial = Trial(kind, count, {**recipe, "weight": weight})
                outcomes[trial] = run(trial, pairs, suite)
                print(trial.name, f"dev {outcomes[trial].mean('dev'):.4f}", file=sys.stderr)
    table = render(outcomes, before, {kind: len(pairs) for kind, pairs in mined.items()}, load)
    print(table)
    if options.write:
        write(table)


def pairs_of(kind: str, suite: RetrievalSuite) -> list[MinedPair]:
    """Return the training pairs of a kind.

    Inductive ones are mined together with CoSQA's pool, so that twins are found across both.
    """
    if kind == "transductive":
        return list(mine(suite.documents).split("train"))
    corpora = [one for one in list_corpora() if one.counts.languages.get("python")]
    if not corpora:
        raise SystemExit("Crawl a corpus first: workbench crawl python-stdlib python-popular")
    documents = (
        document
        for source in [*(corpus.documents() for corpus in corpora), suite.documents]
        for document in source
        if document.language == "python"
    )
    return list(strangers(mine(documents), {one.path for one in suite.documents}))


def strangers(mined: Mined, pool: set[str]) -> Iterator[MinedPair]:
    """Yield the training pairs from outside a pool without a near duplicate in it."""
    inside = {one.id for one in mined.functions if one.path in pool}
    for pair in mined.split("train"):
        if pair.id not in inside and not inside & set(pair.twins):
            yield pair


def run(trial: Trial, pairs: Sequence[MinedPair], suite: RetrievalSuite) -> Outcome:
    """Tune by a trial's recipe and measure what comes out, or read what was done before."""
    chosen = pairs[:: max(1, len(pairs) // trial.pairs)][: trial.pairs]
    folders = settings().home / "embedders"
    trained = replace(trial, recipe={**trial.recipe, "weight": 1.0})
    recipe = Recipe(**trained.recipe)
    tuned = tune(chosen, BASE, folders / trained.name, recipe, corpus_digest=suite.digest)
    if not (folders / trial.name).is_dir():
        weight = trial.recipe["weight"]
        save_average(folders / trained.name, base_folder(BASE), weight, folders / trial.name)
    scores = measure(suite, f"tuned/{trial.name}")
    return Outcome(len(chosen), tuned.seconds, tuned.losses, scores)


def measure(suite: RetrievalSuite, embedder: str) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Return the scores of an embedder's ranking of whole functions by cosine, by split.

    The functions are embedded as they are, without a line for their place: numbers are no paths.
    """
    model = load_embedder(embedder)
    key = "".join(c if c.isalnum() else "-" for c in f"{embedder}-{model.fingerprint}")
    kept = settings().home / "bench-tuning" / f"{key[:180]}.json"
    if kept.is_file():
        read = json.loads(kept.read_bytes())
        return {split: {m: np.array(v) for m, v in one.items()} for split, one in read.items()}
    functions = encode(model, [one.text for one in suite.documents], "document", embedder)
    scores = {}
    for split, queries in suite.queries.items():
        vectors = model.encode([one.text for one in queries], "query")
        best = np.argsort(-(vectors @ functions.T), axis=1, kind="stable")[:, :DEPTH]
        ranked = [[suite.documents[i].path for i in row] for row in best]
        scores[split] = score_rankings(ranked, [one.relevant for one in queries])
    kept.parent.mkdir(parents=True, exist_ok=True)
    plain = {split: {m: list(v) for m, v in one.items()} for split, one in scores.items()}
    replace_durably(kept, json.dumps(plain))
    return scores


def encode(model: Any, texts: Sequence[str], kind: TextKind, what: str) -> Vectors:
    """Encode the longest first in parts, with a bar; rows come in the order of ``texts``."""
    order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    parts = [order[i : i + 256] for i in range(0, len(order), 256)]
    found = [
        model.encode([texts[i] for i in part], kind)
        for part in bar(parts, desc=f"Embedding by {what}", unit=" parts")
    ]
    vectors = np.concatenate(found)
    rows = np.empty_like(vectors)
    rows[order] = vectors
    return rows


def render(
    outcomes: Mapping[Trial, Outcome],
    before: Mapping[str, Mapping[str, NDArray[np.float64]]],
    available: Mapping[str, int],
    load: float,
) -> str:
    """Return the Markdown of the trials, and of the best of each kind on the test queries."""
    base = Outcome(0, 0.0, (), before)
    lines = [
        f"# Tuning {BASE} on mined pairs, measured on CoSQA",
        "",
        f"`python tests/benchmarks/bench_tuning.py {' '.join(sys.argv[1:])}`",
        "",
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, torch"
        f" {version('torch')}, sentence-transformers {version('sentence-transformers')};"
        f" {time.strftime('%Y-%m-%d')}, load average {load:.1f} at the start. Training pairs: "
        + ", ".join(f"{count:,} {kind}" for kind, count in available.items())
        + ". 500 dev queries to choose by, 500 test queries to report, over 6,267 functions, each"
        " embedded whole. Recipe where a row names nothing else: "
        + ", ".join(f"{name} {value:g}" for name, value in asdict(Recipe()).items())
        + ".",
        "",
        f"Before: dev MRR@10 {base.mean('dev'):.4f}, nDCG@10 {base.mean('dev', METRICS[1]):.4f}.",
        "",
        "| pairs | examples | recipe | dev MRR@10 | difference, 95 % interval | loss | seconds |",
        "|---|---:|---|---:|---|---|---:|",
    ]
    for trial, one in outcomes.items():
        shown = interval(one.scores["dev"][METRICS[0]], before["dev"][METRICS[0]])
        losses = f"{np.mean(one.losses[:3]):.3f} to {np.mean(one.losses[-3:]):.3f}"
        lines.append(
            f"| {trial.kind} | {one.examples:,} | {trial} | {one.mean('dev'):.4f} | {shown}"
            f" | {losses} | {one.seconds:.0f} |"
        )
    lines += ["", "The best of each kind on dev, looked at on the test queries:", ""]
    lines += ["| pairs | recipe | metric | before | after | difference, 95 % interval | |"]
    lines += ["|---|---|---|---:|---:|---|---|"]
    for kind in available:
        best = max(
            (trial for trial in outcomes if trial.kind == kind),
            key=lambda trial: outcomes[trial].mean("dev"),
        )
        for metric in METRICS:
            after = outcomes[best].scores["test"][metric]
            row = f"| {kind} | {best} | {metric} | {before['test'][metric].mean():.4f}"
            row += f" | {after.mean():.4f} | {interval(after, before['test'][metric])}"
            lines.append(f"{row} | {verdict(after, before['test'][metric])} |")
    return "\n".join([*lines, ""])


def interval(after: NDArray[np.float64], before: NDArray[np.float64]) -> str:
    """Write a paired difference with its bootstrap interval."""
    difference, low, high, _ = paired_bootstrap(after, before)
    return f"{difference:+.4f} ({low:+.4f} to {high:+.4f})"


def verdict(after: NDArray[np.float64], before: NDArray[np.float64]) -> str:
    """Say which is better, or that nobody can tell."""
    _, low, high, _ = paired_bootstrap(after, before)
    return "better" if low > 0 else "worse" if high < 0 else "within noise"


def write(table: str) -> None:
    """Write the table above what was written by hand."""
    old = TABLE.read_text(encoding="utf-8") if TABLE.is_file() else ""
    _, heading, notes = old.partition(BY_HAND)
    TABLE.write_text(f"{table}\n{heading}{notes}".rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
