"""How easy prose is to read: Flesch's reading ease, counted by textstat and Pyphen."""

from __future__ import annotations

import textstat
from pyphen import Pyphen  # type: ignore[import-untyped]

from workbench.metrics.mean import CannotJudge, Mean, library
from workbench.types import Answer, Example


def readability() -> Mean:
    """Make Flesch's reading ease of English prose (Journal of Applied Psychology 32, 1948).

    206.835 - 1.015 words per sentence - 84.6 syllables per word: 60 to 70 is plain English, more
    is easier, and there is no end either way. Words and sentences are those of textstat,
    syllables those of Pyphen's American hyphenation, which misses some: values are for comparing
    with each other. (textstat's own figure asks the network for the CMU dictionary, and is
    another one without.) There is no such standard for code, which is not judged.
    """
    hyphens = Pyphen(lang="en_US")

    def judge(answer: Answer, _: Example) -> tuple[float, str]:
        if answer.language is not None:
            raise CannotJudge("code, where prose is judged")
        words = [word.lower() for word in textstat.remove_punctuation(answer.text).split()]
        sentences = textstat.sentence_count(answer.text)
        if not words or not sentences:
            raise CannotJudge("no text")
        syllables = sum(len(hyphens.positions(word)) + 1 for word in words)
        ease = 206.835 - 1.015 * len(words) / sentences - 84.6 * syllables / len(words)
        return ease, f"{len(words)} words in {sentences} sentences"

    signature = f"readability|figure:Flesch|syllables:pyphen|{library('textstat')}"
    return Mean("readability", signature, judge)
