"""What all tasks share: the code handed in, and a prompt with as many hits as fit."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from workbench.errors import BadInput
from workbench.languages import Language, language, language_of_path
from workbench.prompts import Template
from workbench.prompts.quoting import fenced, quoted, title
from workbench.types import Fits, Hit, Message, Prompt, Question, SourceFile


def require_text(text: str, remedy: str) -> str:
    """Return ``text`` as it is.

    Raises:
        BadInput: there is nothing in it.
    """
    if not text.strip():
        raise BadInput("The prompt is empty.", remedy)
    return text


def language_of_code(question: Question) -> Language | None:
    """Return the language of the code handed in: as stated, or else as its files say.

    Files in several languages have no one language: None.

    Raises:
        UnknownName: a stated language is none of the workbench's.
    """
    if question.language:
        return language(question.language)
    found = {name for file in question.files if (name := _language_of_file(file))}
    return language(found.pop()) if len(found) == 1 else None


def code_and_wish(question: Question, template: Template) -> tuple[str, str | None]:
    """Return the code handed in, fenced, and what the user says about it, if anything.

    Raises:
        BadInput: no code was handed in.
        UnknownName: a stated language is none of the workbench's.
    """
    remedy = "Paste some code, or hand in a file."
    if question.files:
        require_text("".join(file.text for file in question.files), remedy)
        return render_files(question.files, template), question.text.strip() and question.text
    spoken = language_of_code(question)
    return fenced(require_text(question.text, remedy), spoken.name if spoken else None), None


def render_files(files: Sequence[SourceFile], template: Template) -> str:
    """Write the files handed in, one after the other; empty where there are none."""
    return "\n\n".join(
        template.part(
            "file",
            name=" ".join(file.name.split()) or "(unnamed)",
            code=fenced(file.text, _language_of_file(file)),
        )
        for file in files
    )


def fill(
    template: Template, hits: Sequence[Hit], fits: Fits | None, **values: str | None
) -> Prompt:
    """Write the prompt with the longest run of best hits that fits; the others are left out.

    ``fits`` is asked about 2 + log2(len(hits)) times.

    Raises:
        BadInput: the prompt does not fit even without hits.
    """
    ranked = sorted(hits, key=lambda hit: hit.rank)

    def messages(count: int) -> tuple[Message, ...]:
        return template.render(**values, **_references(template, ranked[:count]))

    kept = len(ranked)
    if fits is not None and not fits(messages(kept)):
        too_many = bisect_left(range(kept), True, key=lambda count: not fits(messages(count)))
        if too_many == 0:
            size = sum(len(message.content) for message in messages(0))
            raise BadInput(
                f"The prompt has {size:,} characters, more than this backend's context holds.",
                "Shorten it, ask for fewer tokens, or choose a backend with a longer context.",
            )
        kept = too_many - 1
    return Prompt(messages(kept), template.label, tuple(ranked[:kept]), tuple(ranked[kept:]))


def _references(template: Template, hits: Sequence[Hit]) -> dict[str, str | None]:
    blocks = (
        template.part("reference", rank=str(rank), title=title(hit.chunk), code=quoted(hit.chunk))
        for rank, hit in enumerate(hits, start=1)
    )
    plural = "" if len(hits) == 1 else "s"
    return {
        "references": "\n\n".join(blocks),
        "count": f"{len(hits)} code snippet{plural}" if hits else None,
    }


def _language_of_file(file: SourceFile) -> str | None:
    if file.language:
        return language(file.language).name
    known = language_of_path(file.name)
    return known.name if known else None
