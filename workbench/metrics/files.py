"""Scores files without a run: what is in them, which reference belongs to which text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import BadInput
from workbench.languages import language as language_of
from workbench.languages import language_of_path
from workbench.metrics.figures import Figure, figure
from workbench.metrics.menu import canonical_metric, make_metric, making_of
from workbench.progress import bar
from workbench.statistics import LEVEL
from workbench.types import Answer, Example, Question, Reference, Score

if TYPE_CHECKING:
    from workbench.types import Embedder

_JSON = (".jsonl", ".ndjson")
_IDS = ("task_id", "id", "question_id")
_TEXTS = ("text", "completion", "prediction", "answer")
_REFERENCES = ("references", "reference", "target", "canonical_solution", *_TEXTS)
_NAMED = 3  # ids that an error names

_ELSEWHERE = {
    "tests": "Run: workbench grade SUITE SAMPLES.jsonl",
    "run": "Run: workbench evaluate --suite SUITE --backend BACKEND",
}


@dataclass(frozen=True, slots=True)
class Text:
    """One text of a file, or several that are right. ``id`` is None where its place counts."""

    id: str | None
    texts: tuple[str, ...]
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Scored:
    """What one metric says of a file: its figure, and the score of each answer, by id."""

    figure: Figure
    signature: str
    higher_is_better: bool
    scores: tuple[tuple[str, Score], ...]


@dataclass(frozen=True, slots=True)
class FileScores:
    """What some metrics say of a file. ``unanswered`` are references that no answer is for."""

    answers: int
    unanswered: int
    metrics: tuple[Scored, ...]


@dataclass(frozen=True, slots=True)
class _Pair:
    """One text beside the example that it answers."""

    answer: Answer
    example: Example


def score_files(
    answers: Path,
    refs: Sequence[Path],
    metrics: Sequence[str],
    *,
    language: str | None = None,
    embedder: Embedder | None = None,
    level: float = LEVEL,
) -> FileScores:
    """Score the texts of a file or folder against those of others: see ``read_texts``.

    Texts meet their references by id where both sides have ids, and by their place elsewhere.
    Several files of references, or several texts under one id, are several right texts; several
    answers under one id are samples of it.

    Raises:
        BadInput: a file cannot be used, an answer has no reference, or a metric looks at more
            than texts.
        UnknownName: there is no such metric or language.
        MissingExtra: a package that a metric needs is not installed.
    """
    names = list(dict.fromkeys(canonical_metric(name) for name in metrics))
    for name in names:
        _check(name, bool(refs))
    language = None if language is None else language_of(language).name
    pairs, unanswered = _pairs(answers, refs, language)
    counts = {len(pair.example.reference.texts) for pair in pairs}
    count = counts.pop() if len(counts) == 1 else None
    made = [
        make_metric(name, embedder=embedder, language=language, references=count or None)
        for name in names
    ]
    scores: list[list[Score]] = [[] for _ in made]
    for pair in bar(pairs, total=len(pairs), desc="Scoring", unit="answer"):
        for row, metric in zip(scores, made, strict=True):
            row.append(metric.score(pair.answer, pair.example))
    ids = [pair.example.question.id for pair in pairs]
    found = [
        Scored(
            figure(metric, _by_question(ids, row), level=level),
            metric.signature,
            metric.higher_is_better,
            tuple(zip(ids, row, strict=True)),
        )
        for metric, row in zip(made, scores, strict=True)
    ]
    return FileScores(len(pairs), unanswered, tuple(found))


def read_texts(path: Path, fields: Sequence[str] = _TEXTS) -> list[Text]:
    """Read the texts of a file or a folder.

    - A folder: each file in it is one text, its id its path within the folder.
    - ``.jsonl``: one object a line. The text is the first of ``fields`` that it has, a string, or
      in ``references`` a list of strings; its id is ``task_id``, ``id`` or ``question_id``, in all
      lines or in none; ``language`` is its language.
    - A file of code, by its ending: the whole of it is one text.
    - Anything else: one text a line. Empty lines are empty texts.

    Raises:
        BadInput: it cannot be read, holds nothing, or a line is malformed; names the line.
    """
    if path.is_dir():
        found = [_whole(one, str(one.relative_to(path).as_posix())) for one in _files(path)]
    elif path.suffix.lower() in _JSON:
        found = _json_lines(path, fields)
    elif path.suffix.lower() == ".json":
        raise BadInput(f"{path.name} is one piece of JSON.", "Write an object a line, as .jsonl.")
    elif language_of_path(path.name) is not None:
        found = [_whole(path, None)]
    else:
        lines = _read(path).removesuffix("\n").split("\n")
        found = [Text(None, (line.removesuffix("\r"),)) for line in lines]
    if not any(text.strip() for one in found for text in one.texts):
        raise BadInput(f"{path} holds no text.", "Check the path.")
    return found


def _check(name: str, has_references: bool) -> None:
    looks_at = making_of(name).looks_at
    if looks_at in _ELSEWHERE:
        what = "tests" if looks_at == "tests" else "the calls and hits of a run"
        raise BadInput(f"{name} looks at {what}, which text does not hold.", _ELSEWHERE[looks_at])
    if looks_at == "references" and not has_references:
        raise BadInput(f"{name} compares with references.", "Add: --refs FILE")


def _pairs(answers: Path, refs: Sequence[Path], language: str | None) -> tuple[list[_Pair], int]:
    """Return each answer beside its example, and how many references have no answer."""
    given = read_texts(answers)
    known: list[tuple[str, ...]] = [()] * len(given)
    asked: set[str] = set()
    for path in refs:
        right = read_texts(path, _REFERENCES)
        by_id = _by_id(given, right)
        if by_id is None:
            found = _by_place(given, right, answers, path)
        else:
            found = [by_id[one.id or ""] for one in given]
            asked |= by_id.keys()
        known = [(*one, *more) for one, more in zip(known, found, strict=True)]
    pairs = [
        _pair(one, texts, place, language)
        for place, (one, texts) in enumerate(zip(given, known, strict=True), start=1)
    ]
    return pairs, len(asked - {one.id or "" for one in given})


def _by_id(given: Sequence[Text], right: Sequence[Text]) -> dict[str, tuple[str, ...]] | None:
    """Return the references of each id; None where not all texts of both sides have one.

    Raises:
        BadInput: an answer has an id that no reference has.
    """
    if any(one.id is None for one in (*given, *right)):
        return None
    found: dict[str, tuple[str, ...]] = {}
    for one in right:
        found[one.id or ""] = (*found.get(one.id or "", ()), *one.texts)
    missing = list(dict.fromkeys(one.id or "" for one in given if one.id not in found))
    if missing:
        more = f" and {len(missing) - _NAMED:,} more" if len(missing) > _NAMED else ""
        raise BadInput(
            f"No reference is there for {', '.join(missing[:_NAMED])}{more}.",
            "Give answer and reference the same id, or path within their folders.",
        )
    return found


def _by_place(
    given: Sequence[Text], right: Sequence[Text], answers: Path, refs: Path
) -> list[tuple[str, ...]]:
    if len(given) != len(right):
        raise BadInput(
            f"{answers.name} holds {len(given):,} texts and {refs.name} {len(right):,}.",
            "Without ids on both sides, the first belongs to the first, and so on.",
        )
    return [one.texts for one in right]


def _pair(one: Text, references: tuple[str, ...], place: int, language: str | None) -> _Pair:
    name = f"line-{place}" if one.id is None else one.id
    language = language or one.language
    (text,) = one.texts
    question = Question(name, "generate", "", target_language=language)
    return _Pair(Answer(text, text, language, "file"), Example(question, Reference(references)))


def _by_question(ids: Iterable[str], scores: Iterable[Score]) -> list[list[Score]]:
    found: dict[str, list[Score]] = {}
    for name, score in zip(ids, scores, strict=True):
        found.setdefault(name, []).append(score)
    return list(found.values())


# --- reading ---------------------------------------------------------------------------


def _files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(p.startswith(".") for p in path.relative_to(folder).parts)
    )


def _whole(path: Path, name: str | None) -> Text:
    known = language_of_path(path.name)
    return Text(name, (_read(path),), None if known is None else known.name)


def _json_lines(path: Path, fields: Sequence[str]) -> list[Text]:
    found: list[Text] = []
    # Not splitlines, which also splits at characters that JSON may hold as they are (U+2028).
    for number, line in enumerate(_read(path).split("\n"), start=1):
        if line.strip():
            try:
                one = _json_text(_loaded(line), fields)
                if found and (one.id is None) != (found[0].id is None):
                    # By place, all that stands behind a forgotten line would meet another's.
                    raise ValueError("of its lines some have an id, and some none.")
            except (ValueError, BadInput) as error:
                raise BadInput(
                    f"Line {number} of {path.name}: {error}", "Mend that line."
                ) from error
            found.append(one)
    return found


def _loaded(line: str) -> Any:
    """Read a line of JSON.

    Raises:
        ValueError: it is none; says where in the line.
    """
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON: {error.msg} at column {error.colno}.") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply.") from error


def _json_text(row: Any, fields: Sequence[str]) -> Text:
    """Take a text out of what a JSON line holds.

    Raises:
        ValueError: it is no object, has none of the fields, or one is of another kind.
        UnknownName: there is no such language.
    """
    if not isinstance(row, dict):
        raise ValueError("it is no JSON object.")
    field = next((name for name in fields if row.get(name) is not None), None)
    if field is None:
        raise ValueError(f"it has none of {', '.join(fields)}.")
    several = isinstance(row[field], list) and field == "references"
    texts = row[field] if several else [row[field]]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{field} is no text.")
    name = next((str(row[key]) for key in _IDS if row.get(key) is not None), None)
    language = row.get("language")
    known = language_of(language).name if isinstance(language, str) else None
    return Text(name, tuple(texts), known)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        cause = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise BadInput(f"{path} cannot be read: {cause}.", "Check the path.") from error
