"""Write code from a request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from workbench.languages import Language, language
from workbench.prompts import load_template
from workbench.tasks.extraction import extract_code
from workbench.tasks.rendering import fill, render_files, require_text
from workbench.types import Extraction, Fits, Hit, Prompt, Question, SamplingParams, TaskName


@dataclass(frozen=True, slots=True)
class Generate:
    """Asks for a program in ``target_language``, or in Python where none is named."""

    name: TaskName = field(default="generate", init=False)
    params: SamplingParams = field(default=SamplingParams(max_tokens=768))

    def render(self, question: Question, hits: Sequence[Hit], fits: Fits | None = None) -> Prompt:
        """Write the prompt: references with the rules, then files, and the request last.

        Raises:
            BadInput: the request is empty, or the prompt is too long.
            UnknownName: the language is none of the workbench's.
        """
        template = load_template(self.name)
        wanted = _wanted(question)
        return fill(
            template,
            hits,
            fits,
            request=require_text(question.text, "Say what the program should do."),
            files=render_files(question.files, template),
            language=wanted.title,
            tag=wanted.tags[0],
        )

    def extract(self, raw: str, question: Question) -> Extraction:
        """Take the code out of a completion."""
        return extract_code(raw, _wanted(question).name)


def _wanted(question: Question) -> Language:
    return language(question.target_language or "python")
