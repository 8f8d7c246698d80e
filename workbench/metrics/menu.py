"""The menu of metrics: what each looks at, what it takes to make one, and what a name means.

A name is one of the menu with options behind it: ``BLEU``, ``BLEU+lowercase``,
``CodeBLEU+corrected``, ``retrieved+recall@5``. Capitals, blanks and hyphens do not matter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from workbench.errors import BadInput, UnknownName
from workbench.registry import Registry

if TYPE_CHECKING:
    from workbench.types import Answer, Example, Metric, Score

# What a metric looks at beside the answer's own text.
LooksAt = Literal["answer", "references", "tests", "run"]

METRICS = Registry("metric")

PARTS = {
    "grader": "Hand in grader=workbench.sandbox.Grader().",
    "embedder": "Hand in embedder=load_embedder('minilm'); on the command line: --embedder minilm.",
    "ask": "Hand in ask=, a function of (text, language, signature) that returns code.",
    "writer": "Hand in writer=, the name of what is behind ask.",
    "language": "Hand in language=, as 'python'.",
    "references": "Hand in references=, how many of an example's references count.",
}
"""What whoever makes a metric may hand in."""


@dataclass(frozen=True, slots=True)
class Making:
    """How a metric is made: the parts that it needs or may have, and what its options set."""

    looks_at: LooksAt
    needs: tuple[str, ...] = ()
    may_have: tuple[str, ...] = ()
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


_MAKING: dict[str, Making] = {}


def _add(name: str, target: str, summary: str, making: Making, extra: str = "evaluate") -> None:
    takes = " or ".join(f"+{option}" for option in making.options)
    METRICS.add(
        name,
        f"workbench.metrics.{target}",
        summary,
        extra=extra,
        needs=", ".join(making.needs),
        takes=takes,
    )
    _MAKING[name] = making


_TEXT = ("references",)
_LOWERCASE: Mapping[str, Any] = {"lowercase": True}

_add(
    "pass@1",
    "execution:passes",
    "the share of answers that pass their tests",
    Making("tests", ("grader",), ("language",)),
)
_add(
    "BLEU",
    "text:bleu",
    "n-grams shared with the references, by sacreBLEU; 0 to 100",
    Making(
        "references",
        may_have=_TEXT,
        options={
            "lowercase": _LOWERCASE,
            "intl": {"tokenize": "intl"},
            "char": {"tokenize": "char"},
            "split": {"tokenize": "none"},
        },
    ),
)
_add(
    "chrF",
    "text:chrf",
    "runs of characters shared with the reference, by sacreBLEU; 0 to 100",
    Making("references", may_have=_TEXT, options={"lowercase": _LOWERCASE}),
)
_add(
    "chrF++",
    "text:chrf_words",
    "chrF with words and pairs of words; 0 to 100",
    Making("references", may_have=_TEXT, options={"lowercase": _LOWERCASE}),
)
_add(
    "TER",
    "text:ter",
    "edits to the reference per 100 of its words, by sacreBLEU; less is better",
    Making(
        "references",
        may_have=_TEXT,
        options={"cased": {"case_sensitive": True}, "normalized": {"normalized": True}},
    ),
)
_add(
    "ROUGE-L",
    "rouge:rouge_l",
    "the longest common run of words, with gaps, by rouge-score; 0 to 100",
    Making("references", may_have=_TEXT, options={"stem": {"stem": True}}),
)
_add(
    "CodeBLEU",
    "codebleu:CodeBleu",
    "n-grams, keywords, syntax and data flow shared with the references; 0 to 100",
    Making("references", may_have=("language",), options={"corrected": {"variant": "corrected"}}),
)
_add(
    "exact match",
    "code_match:exact_match",
    "the share of answers that are a reference, letter for letter",
    Making("references"),
)
_add(
    "AST match",
    "code_match:ast_match",
    "the share of answers with the syntax tree of a reference",
    Making("references", may_have=("language",)),
)
_add(
    "similarity",
    "similarity:similarity",
    "the cosine of the embeddings of answer and reference; -1 to 1",
    Making("references", ("embedder",), _TEXT),
)
_add(
    "round trip",
    "round_trip:round_trip",
    "the share of summaries from which code is written again that passes the tests",
    Making("tests", ("ask", "grader"), ("writer",)),
)
_add(
    "readability",
    "readability:readability",
    "Flesch's reading ease of English prose, by textstat; 60 to 70 is plain",
    Making("answer"),
)
_add(
    "retrieved",
    "retrieved:retrieved",
    "where the chunks that help stood among the hits: MRR@10, or another ranking metric",
    Making(
        "run",
        options={
            name: {"measure": name} for name in ("nDCG@10", "recall@1", "recall@5", "recall@20")
        },
    ),
    extra="lab",
)
_add(
    "tokens",
    "spending:tokens",
    "tokens read and written",
    Making("run", options={"input": {"count": "input"}, "output": {"count": "output"}}),
)
_add("seconds", "spending:seconds", "seconds of the model's calls", Making("run"))
_add("cost", "spending:cost", "price of the model's calls in USD", Making("run"))


def make_metric(name: str, **parts: Any) -> Metric:
    """Make the metric that ``name`` means.

    ``parts`` are of ``PARTS``, and may be more than this metric takes; None stands for none.

    Raises:
        UnknownName: no metric, or none of its options, is called so.
        BadInput: a part that it needs is missing.
        MissingExtra: a package that it needs is not installed.
        TypeError: there is no such part.
    """
    if unknown := set(parts) - set(PARTS):
        raise TypeError(f"no metric takes {', '.join(sorted(unknown))}")
    base, options = _parse(name)
    making = _MAKING[base]
    given = {part: value for part, value in parts.items() if value is not None}
    for part in making.needs:
        if part not in given:
            raise BadInput(f"The metric {base} needs {_a(part)}.", PARTS[part])
    settings = {part: given[part] for part in (*making.needs, *making.may_have) if part in given}
    for option in options:
        settings.update(making.options[option])
    metric: Metric = METRICS.load(base)(**settings)
    return Named("+".join((base, *options)), metric) if options else metric


@dataclass(frozen=True, slots=True)
class Named:
    """A metric under its name with options, so that two ways of one stand side by side."""

    name: str
    metric: Metric

    @property
    def signature(self) -> str:
        """The metric's own."""
        return self.metric.signature

    @property
    def higher_is_better(self) -> bool:
        """Whether more is better."""
        return self.metric.higher_is_better

    @property
    def verdict(self) -> bool:
        """Whether all values are 0 or 1."""
        return bool(getattr(self.metric, "verdict", False))

    def score(self, answer: Answer, example: Example) -> Score:
        """Judge one answer."""
        return replace(self.metric.score(answer, example), metric=self.name)

    def aggregate(self, by_question: Sequence[Sequence[Score]]) -> float | None:
        """Return the figure of a suite."""
        return self.metric.aggregate(by_question)


def canonical_metric(name: str) -> str:
    """Return a metric's name as the menu writes it, with its options in order.

    Raises:
        UnknownName: no metric, or none of its options, is called so.
    """
    base, options = _parse(name)
    return "+".join((base, *options))


def making_of(name: str) -> Making:
    """Return what it takes to make the metric that ``name`` means.

    Raises:
        UnknownName: no metric, or none of its options, is called so.
    """
    return _MAKING[_parse(name)[0]]


def _parse(name: str) -> tuple[str, tuple[str, ...]]:
    """Split a name into that of the menu and its options, each once and in the menu's order."""
    known = {_key(entry.name): entry.name for entry in METRICS}
    words = name.split("+")
    for count in range(len(words), 0, -1):  # chrF++ is a name, and no chrF with two options
        base = known.get(_key("+".join(words[:count])))
        if base is not None:
            return base, _options(base, words[count:])
    raise UnknownName("metric", words[0], known.values())


def _options(base: str, words: list[str]) -> tuple[str, ...]:
    options = _MAKING[base].options
    known = {_key(option): option for option in options}
    given = {_key(word) for word in words}
    for word in words:
        if _key(word) not in known:
            if not options:
                raise BadInput(f"The metric {base} has no options.", f"Write: {base}")
            raise UnknownName(f"option of {base}", word, options)
    return tuple(option for key, option in known.items() if key in given)


def _key(name: str) -> str:
    return re.sub(r"[\s_-]", "", name.casefold())


def _a(part: str) -> str:
    return f"{'an' if part[0] in 'aeiou' else 'a'} {part}"
