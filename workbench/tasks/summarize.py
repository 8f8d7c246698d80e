"""Say in prose what code does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from workbench.prompts import load_template
from workbench.tasks.extraction import extract_prose
from workbench.tasks.rendering import code_and_wish, fill, language_of_code
from workbench.types import Extraction, Fits, Hit, Prompt, Question, SamplingParams, TaskName


@dataclass(frozen=True, slots=True)
class Summarize:
    """Asks what code does, in words for the question's ``audience``."""

    name: TaskName = field(default="summarize", init=False)
    params: SamplingParams = field(default=SamplingParams(max_tokens=256))

    def render(self, question: Question, hits: Sequence[Hit], fits: Fits | None = None) -> Prompt:
        """Write the prompt: references with the rules, then the code, and the wish last.

        Raises:
            BadInput: no code was handed in, or the prompt is too long.
            UnknownName: the language is none of the workbench's.
        """
        template = load_template(self.name)
        spoken = language_of_code(question)
        code, wish = code_and_wish(question, template)
        return fill(
            template,
            hits,
            fits,
            code=code,
            wish=wish,
            language=f"{spoken.title} code" if spoken else "code",
            audience=" ".join((question.audience or "").split()),
        )

    def extract(self, raw: str, question: Question) -> Extraction:
        """Take the prose out of a completion."""
        return extract_prose(raw)
