"""Carry code over into another language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from workbench.errors import BadInput
from workbench.languages import LANGUAGES, Language, language
from workbench.prompts import load_template
from workbench.tasks.extraction import extract_code
from workbench.tasks.rendering import code_and_wish, fill, language_of_code
from workbench.types import Extraction, Fits, Hit, Prompt, Question, SamplingParams, TaskName


@dataclass(frozen=True, slots=True)
class Translate:
    """Asks for the code handed in as a program in ``target_language``."""

    name: TaskName = field(default="translate", init=False)
    params: SamplingParams = field(default=SamplingParams(max_tokens=1024))

    def render(self, question: Question, hits: Sequence[Hit], fits: Fits | None = None) -> Prompt:
        """Write the prompt: references with the rules, then the code, and the wish last.

        Raises:
            BadInput: no code was handed in, a language is missing, both are the same, or the
                prompt is too long.
            UnknownName: a language is none of the workbench's.
        """
        template = load_template(self.name)
        code, wish = code_and_wish(question, template)
        source, target = _pair(question)
        return fill(
            template,
            hits,
            fits,
            code=code,
            wish=wish,
            source=source.title,
            target=target.title,
            tag=target.tags[0],
        )

    def extract(self, raw: str, question: Question) -> Extraction:
        """Take the code out of a completion.

        Raises:
            BadInput: the question names no target language.
        """
        return extract_code(raw, _target(question).name)


def _pair(question: Question) -> tuple[Language, Language]:
    target = _target(question)
    source = language_of_code(question)
    if source is None:
        raise BadInput(
            "The language of the code is not known.",
            f"Name the source language (--from): {_names()}.",
        )
    if source == target:
        raise BadInput(
            f"The code is in {source.title} already.",
            f"Choose another target language than {source.name}: {_names()}.",
        )
    return source, target


def _target(question: Question) -> Language:
    if not question.target_language:
        raise BadInput(
            "Translate into which language?",
            f"Name the target language (--to): {_names()}.",
        )
    return language(question.target_language)


def _names() -> str:
    return ", ".join(known.name for known in LANGUAGES)
