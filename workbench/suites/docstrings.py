"""Summaries mined from a crawled corpus: a function, and how its documentation begins.

As CodeSearchNet has them (Husain et al. 2019), but from any corpus, and without the functions
that stand in it twice: see ``workbench.corpus.mining``.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from workbench.corpus import open_corpus
from workbench.corpus.mining import SPLITS, mine
from workbench.errors import BadInput
from workbench.languages import language
from workbench.suites.problems import Suite, limited
from workbench.types import Example, Question, Reference, SourceFile

if TYPE_CHECKING:
    from workbench.corpus.mining import MinedPair

CAP = 1000
"""Most functions of a suite, evenly spread over the corpus: more say no more."""
_WISH = (
    "Answer with one short sentence: the first one of the documentation that this function should"
    " have."
)
_LICENCES = 8


def load(argument: str) -> Suite:
    """Mine a crawled corpus: ``CORPUS`` (its test split), or ``CORPUS/train``, ``/dev``, ``/test``.

    The same corpus gives the same suite.

    Raises:
        MissingCorpus: none was crawled under that name.
        BadInput: that split of it has no documented function.
    """
    name, slash, split = argument.rpartition("/")
    if not slash or split not in SPLITS:
        name, split = argument, "test"
    corpus = open_corpus(name)
    mined = mine(corpus.documents())
    pairs = [pair for pair in mined.pairs if pair.split == split]
    if not pairs:
        counts = ", ".join(f"{one} {mined.counts.get(one, 0):,}" for one in SPLITS)
        raise BadInput(
            f"No summary could be mined from the split {split} of {corpus.name} ({counts}).",
            "Take another split, as docstrings:CORPUS/train, or a larger corpus.",
        )
    licences = sorted({document.license or "unknown" for document in mined.documents})
    more = f" and {len(licences) - _LICENCES} more" if len(licences) > _LICENCES else ""
    suite = Suite(
        name=f"docstrings:{corpus.name}/{split}",
        task="summarize",
        examples=tuple(_example(pair) for pair in pairs),
        license=", ".join(licences[:_LICENCES]) + more,
        citation="mined as in Husain et al., CodeSearchNet Challenge, 2019",
        origin=f"the crawled corpus {corpus.name}",
        checksum=corpus.digest,
        metrics=("BLEU", "ROUGE-L", "chrF"),
        note=(
            "The reference is the first sentence of a function's own documentation, which was"
            " taken out of the code. Authors wrote it for people who know their project."
        ),
    )
    return limited(suite, CAP)


def _example(pair: MinedPair) -> Example:
    code = textwrap.dedent(pair.text).strip("\n") + "\n"
    name = f"{pair.symbol.rpartition('.')[2]}{language(pair.language).endings[0]}"
    return Example(
        Question(
            id=f"docstring/{pair.id}",
            task="summarize",
            text=_WISH,
            language=pair.language,
            files=(SourceFile(name, code, pair.language),),
        ),
        Reference(texts=(pair.query,)),
        {"language": pair.language, "source": pair.path.partition("/")[0]},
    )
