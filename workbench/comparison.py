"""Several solvers' answers to one question, side by side, finished or still coming in."""

from __future__ import annotations

import html
import json
import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from workbench.keys import scrub, scrub_values
from workbench.report import (
    answer_html,
    diff_html,
    reasoning_html,
    sent_html,
    sent_markdown,
    sources_html,
    style,
    unified_diff,
)
from workbench.types import (
    SAMPLING,
    Answer,
    Answered,
    Completion,
    Failed,
    FinishReason,
    Hit,
    Loading,
    Prompt,
    Prompted,
    Question,
    Retrieved,
    Step,
    Token,
    Update,
    fence_for,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

Status = Literal[
    "waiting", "loading", "reading", "thinking", "writing", "done", "failed", "stopped"
]


@dataclass(frozen=True, slots=True)
class Column:
    """One solver's column. ``text`` is the raw text so far; ``doing`` says what it waits for.

    ``reasoning`` is what the model thinks before it answers. ``prompt`` was sent last, None before
    that. ``partial`` is a call that did not come to its end.
    """

    solver: str
    status: Status = "waiting"
    doing: str = ""
    text: str = ""
    reasoning: str = ""
    prompt: Prompt | None = None
    partial: Completion | None = None
    hits: tuple[Hit, ...] = ()
    left_out: tuple[Hit, ...] = ()
    answer: Answer | None = None
    error: str | None = None

    @property
    def completion(self) -> Completion | None:
        """The last completion with its counts and times, once there is one; else the partial."""
        if self.answer is None or not self.answer.steps:
            return self.partial
        return self.answer.steps[-1].completion

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every prompt with its completion; the last one may be partial."""
        if self.answer is not None:
            return self.answer.steps
        if self.prompt is None or self.partial is None:
            return ()
        return (Step(self.prompt, self.partial),)

    @property
    def best_text(self) -> str:
        """The extracted answer, or the raw text as far as it came where there is none."""
        return self.answer.text if self.answer else self.text

    @property
    def finished(self) -> bool:
        """Whether nothing more will come."""
        return self.status in ("done", "failed", "stopped")

    def after(self, update: Update) -> Column:
        """Return the column as the update leaves it."""
        match update.event:
            case Loading(what):
                return replace(self, status="loading", doing=what)
            case Retrieved(hits, _):
                return replace(self, hits=hits)
            case Prompted(prompt):
                return replace(
                    self,
                    status="reading",
                    doing="",
                    prompt=prompt,
                    hits=prompt.hits,
                    left_out=prompt.left_out,
                )
            case Token(text, reasoning=True):
                return replace(self, status="thinking", reasoning=self.reasoning + text)
            case Token(text):
                return replace(self, status="writing", text=self.text + text)
            case Answered(answer):
                return replace(
                    self,
                    status="done",
                    text=answer.raw,
                    reasoning=answer.steps[-1].completion.reasoning if answer.steps else "",
                    hits=answer.hits,
                    left_out=answer.left_out,
                    answer=answer,
                )
            case Failed(error, partial):
                partial = partial or self._so_far("broken")
                return replace(self, status="failed", error=error, partial=partial)

    def stop(self) -> Column:
        """Return the column as it stands when the person presses Stop; what came is kept."""
        if self.finished:
            return self
        partial = self._so_far("cancelled")
        return replace(self, status="stopped", error="Stopped.", partial=partial)

    def _so_far(self, finish: FinishReason) -> Completion | None:
        """Return what came as a completion without figures, None where nothing was sent yet."""
        if self.prompt is None:
            return None
        return Completion(
            self.text, None, None, 0.0, None, finish, self.solver, reasoning=self.reasoning
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """One question and a column for each solver; shows itself in a notebook.

    ``run`` is the id under which the run store keeps it, None while it is not stored.
    """

    question: Question
    columns: tuple[Column, ...]
    run: str | None = None

    def __getitem__(self, solver: str) -> Column:
        for column in self.columns:
            if column.solver == solver:
                return column
        raise KeyError(solver)

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def finished(self) -> bool:
        """Whether every column is done, failed or stopped."""
        return all(column.finished for column in self.columns)

    def after(self, update: Update) -> Comparison:
        """Return the comparison as the update leaves it."""
        return replace(
            self,
            columns=tuple(
                column.after(update) if column.solver == update.solver else column
                for column in self.columns
            ),
        )

    def stop(self) -> Comparison:
        """Return the comparison with every unfinished column marked as stopped."""
        return replace(self, columns=tuple(column.stop() for column in self.columns))

    def diff(self, a: str, b: str) -> str:
        """Return the unified diff from solver ``a``'s answer to solver ``b``'s, "" where equal."""
        return unified_diff(self[a].best_text, self[b].best_text, a, b)

    def diff_html(self, a: str, b: str) -> str:
        """Return the coloured diff from ``a``'s answer to ``b``'s. Needs ``style()``."""
        return diff_html(self[a].best_text, self[b].best_text, a, b)

    @property
    def df(self) -> pd.DataFrame:
        """One row a solver: answer, error, sources, tokens and times (seconds)."""
        import pandas as pd

        return pd.DataFrame([self._row(column) for column in self.columns]).set_index("solver")

    def _row(self, column: Column) -> dict[str, Any]:
        completion = column.completion
        row: dict[str, Any] = {
            "solver": column.solver,
            "status": column.status,
            "answer": column.answer.text if column.answer else None,
            "error": column.error,
            "sources": [hit.chunk.location for hit in column.hits],
            "left_out": [hit.chunk.location for hit in column.left_out],
            "rule": column.answer.rule if column.answer else None,
        }
        for name in (
            "model",
            "input_tokens",
            "output_tokens",
            "seconds",
            "first_token_seconds",
            "tokens_per_second",
            "finish_reason",
            "cost",
            "cached",
            "attempts",
            "fallback_for",
        ):
            row[name] = getattr(completion, name) if completion else None
        if column.answer is None:  # a call that did not end has text, but no figures
            row["seconds"] = row["tokens_per_second"] = None
        return row

    def to_json(self) -> str:
        """Return everything as JSON: the question, and for each column answer and row of df."""
        columns = []
        for column in self.columns:
            row = self._row(column)
            row["partial"] = None if column.answer else column.text
            row["reasoning"] = column.reasoning
            row["hits"] = [asdict(hit) for hit in column.hits]
            row["messages"] = [
                asdict(message) for step in column.steps for message in step.prompt.messages
            ]
            row["sent"] = [
                asdict(sent) if (sent := step.completion.sent) else None for step in column.steps
            ]
            columns.append(row)
        told = {"run": self.run, "question": asdict(self.question), "columns": columns}
        return json.dumps(scrub_values(told), indent=2)

    def to_markdown(self) -> str:
        """Return the answers one after the other, each with its figures and sources."""
        return comparison_markdown(self)

    def _repr_html_(self) -> str:
        return comparison_html(self)

    def _repr_markdown_(self) -> str:
        return self.to_markdown()


def figures(column: Column) -> str:
    """Return a column's figures in one line: tokens, times, rate, and what needs a warning."""
    completion = column.completion
    if completion is None or column.answer is None:
        return ""
    return " · ".join([*_times(completion), *_warnings(completion)])


def _times(completion: Completion) -> list[str]:
    parts = []
    if completion.first_token_seconds is not None:
        parts.append(f"first token {_seconds(completion.first_token_seconds)}")
    if completion.tokens_per_second is not None:
        parts.append(f"{completion.tokens_per_second:.1f} tokens/s")
    if completion.input_tokens is not None and completion.output_tokens is not None:
        parts.append(f"{completion.input_tokens} in, {completion.output_tokens} out")
    parts.append(_seconds(completion.seconds))
    if completion.cost:
        parts.append(money(completion.cost))
    return parts


def _warnings(completion: Completion) -> list[str]:
    ignored = set(completion.ignored)
    told = {
        "from the cache": completion.cached,
        f"fallback: {completion.fallback_for} failed": completion.fallback_for is not None,
        f"{completion.attempts} tries": completion.attempts > 1,
        "cut at the token limit": completion.finish_reason == "length",
        "refused": completion.finish_reason == "refused",
        "does not sample": ignored == set(SAMPLING),
        f"ignored: {', '.join(completion.ignored)}": ignored and ignored != set(SAMPLING),
    }
    return [words for words, is_so in told.items() if is_so]


def money(usd: float) -> str:
    """Return an amount in USD with two digits that count."""
    if usd >= 1 or usd == 0:
        return f"{usd:,.2f} USD" if usd else "0 USD"
    digits = 1 - math.floor(math.log10(abs(usd)))
    text = f"{usd:.{digits}f}"
    return f"{text.rstrip('0') if usd < 0.01 else text} USD"


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


_DOING = {
    "waiting": "waiting",
    "loading": "loading",
    "reading": "reading the prompt",
    "thinking": "thinking",
    "writing": "writing",
    "done": "",
    "failed": "failed",
    "stopped": "stopped",
}


def status_line(column: Column) -> str:
    """Return what a column does now, or its figures once it is done."""
    if column.status == "done":
        return figures(column)
    doing = f" {column.doing}" if column.doing and column.status == "loading" else ""
    return _DOING[column.status] + doing


def body_html(column: Column) -> str:
    """Return a column's answer, or what came of it so far, and its error. Needs ``style()``."""
    if column.answer is not None:
        body = answer_html(column.answer)
    elif column.text:
        body = f"<pre style='white-space:pre-wrap'>{html.escape(column.text)}</pre>"
    else:
        body = ""
    if column.error:
        body += f"<div class='wb-error'>{html.escape(column.error)}</div>"
    return f"<div class='wb-body'>{body}</div>"


def background_html(column: Column) -> str:
    """Return what stands behind an answer, to unfold: sources, reasoning, what was sent."""
    rule = column.answer.rule if column.answer else None
    return (
        sources_html(column.hits, column.left_out)
        + reasoning_html(column.reasoning)
        + (sent_html(column.steps, rule) if column.finished else "")
    )


def column_html(column: Column) -> str:
    """Return one column: head, figures, answer or error, sources to unfold. Needs ``style()``."""
    return (
        "<div class='wb wb-column'>"
        f"<div class='wb-head'><span>{html.escape(column.solver)}</span>"
        f"<span class='wb-figures'>{html.escape(status_line(column))}</span></div>"
        f"{body_html(column)}{background_html(column)}</div>"
    )


def comparison_html(comparison: Comparison) -> str:
    """Return all columns side by side, with their style."""
    columns = "".join(column_html(column) for column in comparison.columns)
    return scrub(f"{style()}<div class='wb wb-columns'>{columns}</div>")


def comparison_markdown(comparison: Comparison) -> str:
    """Return the answers one after the other, each with its figures and sources."""
    parts = []
    for column in comparison.columns:
        parts.append(f"## {column.solver}")
        if line := status_line(column):
            parts.append(f"*{line}*")
        if column.error:
            parts.append(f"**Error:** {column.error}")
        if column.answer:
            parts.append(column.answer._repr_markdown_())
        elif column.text:
            fence = fence_for(column.text)
            parts.append(f"{fence}\n{column.text}\n{fence}")
        if column.hits:
            parts.append("Sources: " + ", ".join(f"`{hit.chunk.location}`" for hit in column.hits))
        if column.finished and column.steps:
            rule = column.answer.rule if column.answer else None
            parts.append(f"What was sent:\n\n{sent_markdown(column.steps, rule)}")
    return scrub("\n\n".join(parts) + "\n")
