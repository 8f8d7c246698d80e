"""How records look in HTML: highlighted code, answers, sources, diffs."""

from __future__ import annotations

import difflib
import html
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from workbench.languages import find_language
from workbench.types import fence_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from workbench.types import Answer, Hit, Step

# Colours are variables, so that one page serves a notebook and the UI, in light and in dark.
_LIGHT = (
    "--wb-line:#d0d7de;--wb-soft:#f6f8fa;--wb-text:#1f2328;--wb-dim:#59636e;"
    "--wb-bad:#b3261e;--wb-good:#1a7f37"
)
_DARK = (
    "--wb-line:#3d444d;--wb-soft:#151b23;--wb-text:#e6edf3;--wb-dim:#9198a1;"
    "--wb-bad:#ff8a80;--wb-good:#56d364"
)
_DARK_SCOPES = ('[data-jp-theme-light="false"]', ".dark", ".vscode-dark")

_LAYOUT = """
.wb{color:var(--wb-text);font-size:14px;line-height:1.5}
.wb-columns{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,320px),1fr));gap:12px}
.wb-column{border:1px solid var(--wb-line);border-radius:8px;padding:10px 12px;min-width:0}
.wb-head{display:flex;flex-wrap:wrap;justify-content:space-between;gap:2px 10px;font-weight:600;
overflow-wrap:anywhere}
.wb-figures,.wb-dim{color:var(--wb-dim);font-size:12px;font-weight:400}
.wb-body{margin:8px 0;overflow-wrap:anywhere}
.wb pre{background:var(--wb-soft);color:var(--wb-text);border-radius:6px;padding:8px 10px;
margin:6px 0;overflow-x:auto;font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;
font-size:12.5px;line-height:1.45;white-space:pre}
.wb-prose{white-space:pre-wrap}
.wb-error{color:var(--wb-bad);overflow-wrap:anywhere}
.wb details{margin:2px 0}
.wb summary{cursor:pointer;overflow-wrap:anywhere;font-size:12.5px}
.wb-facts{border-collapse:collapse;font-size:12.5px;margin:4px 0}
.wb-facts th{text-align:left;font-weight:400;color:var(--wb-dim);padding:1px 12px 1px 0;
vertical-align:top;white-space:nowrap}
.wb-facts td{padding:1px 0;overflow-wrap:anywhere}
.wb-said{font-size:12px;color:var(--wb-dim);margin-top:6px}
.wb-sent pre,.wb-thought pre{white-space:pre-wrap;max-height:420px;overflow:auto}
.wb-diff .wb-add{color:var(--wb-good)}.wb-diff .wb-del{color:var(--wb-bad)}
"""


@lru_cache(maxsize=1)
def style() -> str:
    """Return the ``<style>`` element that the HTML of this module needs, once a page."""
    from pygments.formatters import HtmlFormatter

    dark = ",".join(f"{scope} .wb" for scope in _DARK_SCOPES)
    light_code: Any = HtmlFormatter(style="friendly")
    dark_code: Any = HtmlFormatter(style="github-dark")
    rules = [f".wb{{{_LIGHT}}}", f"{dark}{{{_DARK}}}", _LAYOUT]
    rules.append(light_code.get_style_defs(".wb pre"))
    rules += [dark_code.get_style_defs(f"{scope} .wb pre") for scope in _DARK_SCOPES]
    # Pygments sets a background for the whole block; ours comes from the variables.
    return "<style>" + "\n".join(rules) + "\n.wb pre{background:var(--wb-soft)!important}</style>"


def code_html(code: str, language: str | None) -> str:
    """Return highlighted code as a ``<pre>``; plain where the language is unknown."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import get_lexer_by_name
    from pygments.lexers.special import TextLexer

    known = find_language(language) if language else None
    # PHP code without its opening tag is what models write; Pygments takes it for HTML.
    options = {"startinline": True} if known and known.name == "php" and "<?" not in code else {}
    options |= {"stripnl": False, "ensurenl": False}
    lexer = get_lexer_by_name(known.lexer, **options) if known else TextLexer(**options)
    lines = highlight(code, lexer, HtmlFormatter(nowrap=True)).removesuffix("\n")
    return f"<pre>{lines}</pre>"


def answer_html(answer: Answer) -> str:
    """Return an extracted answer: code highlighted, prose as it is."""
    if not answer.text:
        return (
            "<div class='wb-error'>No answer could be extracted from what came back:</div>"
            f"<pre>{html.escape(answer.raw)}</pre>"
        )
    if answer.language:
        return code_html(answer.text, answer.language)
    return f"<div class='wb-prose'>{html.escape(answer.text)}</div>"


def sources_html(hits: Iterable[Hit], left_out: Iterable[Hit] = ()) -> str:
    """Return hits as lines that unfold to their code; those that did not fit are marked."""
    rows = [_source(hit, "") for hit in hits]
    rows += [_source(hit, " — left out: no room in the context") for hit in left_out]
    if not rows:
        return ""
    return (
        f"<details><summary class='wb-dim'>Sources ({len(rows)})</summary>{''.join(rows)}</details>"
    )


def _source(hit: Hit, note: str, *, shown: bool = False) -> str:
    chunk = hit.chunk
    symbol = f" <b>{html.escape(chunk.symbol)}</b>" if chunk.symbol else ""
    return (
        f"<details{' open' if shown else ''}><summary>{hit.rank}. {html.escape(chunk.location)}"
        f"{symbol}<span class='wb-dim'>{note}</span></summary>"
        f"{code_html(chunk.text, chunk.language)}</details>"
    )


def sent_facts(step: Step, rule: str | None) -> dict[str, str]:
    """Return what decided an answer, as words: model, server, template, parameters, rule."""
    completion, sent = step.completion, step.completion.sent
    facts = {"Template": step.prompt.template}
    if sent is not None:
        parameters = (f"{name} {_value(value)}" for name, value in sent.parameters.items())
        facts = {
            "Model": sent.model or completion.model,
            "Server": sent.endpoint or "",
            **facts,
            "Parameters in force": ", ".join(parameters) or "none",
            "Changed on the way": " ".join(sent.notes),
        }
    facts["Ignored"] = ", ".join(completion.ignored)
    facts["Ended with"] = completion.finish_reason
    facts["Fallback for"] = completion.fallback_for or ""
    facts["Answer taken by the rule"] = rule or "none: there is no complete answer"
    return {name: value for name, value in facts.items() if value}


def _value(value: object) -> str:
    if isinstance(value, list | tuple):
        return " ".join(repr(one) for one in value) or "none"
    return str(value)


def sent_html(steps: Sequence[Step], rule: str | None) -> str:
    """Return the fair-prompt panel, to unfold: what was sent in each step, and what ruled it."""
    if not steps:
        return ""
    parts = "".join(
        _step_html(step, rule if number == len(steps) else "the next step's", number, len(steps))
        for number, step in enumerate(steps, start=1)
    )
    return (
        f"<details class='wb-sent'><summary class='wb-dim'>What was sent</summary>{parts}</details>"
    )


def _step_html(step: Step, rule: str | None, number: int, of: int) -> str:
    rows = "".join(
        f"<tr><th scope='row'>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>"
        for name, value in sent_facts(step, rule).items()
    )
    title = f"<div class='wb-said'>Step {number} of {of}</div>" if of > 1 else ""
    sent = step.completion.sent
    messages = step.prompt.messages if sent is None else sent.messages
    said = "".join(
        f"<div class='wb-said'>{one.role}</div><pre>{html.escape(one.content)}</pre>"
        for one in messages
    )
    exact = ""
    if sent is not None and sent.text is not None:
        exact = (
            "<details><summary>The exact text after the model's template</summary>"
            f"<pre>{html.escape(sent.text)}</pre></details>"
        )
    return f"{title}<table class='wb-facts'>{rows}</table>{said}{exact}"


def reasoning_html(reasoning: str) -> str:
    """Return what a model thought before it answered, to unfold; "" for nothing."""
    if not reasoning:
        return ""
    return (
        "<details class='wb-thought'><summary class='wb-dim'>Reasoning</summary>"
        f"<pre>{html.escape(reasoning)}</pre></details>"
    )


def sent_markdown(steps: Sequence[Step], rule: str | None) -> str:
    """Return the facts and messages of ``sent_html`` as Markdown."""
    parts = []
    for step in steps:
        facts = sent_facts(step, rule)
        parts.append("\n".join(f"- {name}: {value}" for name, value in facts.items()))
        sent = step.completion.sent
        if sent is not None and sent.text is not None:
            parts.append(_fenced(sent.text))
        else:
            messages = step.prompt.messages if sent is None else sent.messages
            parts += [f"{one.role}:\n\n{_fenced(one.content)}" for one in messages]
    return "\n\n".join(parts)


def _fenced(text: str) -> str:
    fence = fence_for(text)
    return f"{fence}\n{text}\n{fence}"


class Hits(list["Hit"]):
    """Search hits, best first; a list that shows itself in a notebook."""

    def _repr_html_(self) -> str:
        return hits_html(self)


def hits_html(hits: Iterable[Hit]) -> str:
    """Return search hits as a list that unfolds to code, the best one open. Has its own style."""
    rows = "".join(
        _source(hit, f" score {hit.score:.3f}", shown=position == 0)
        for position, hit in enumerate(hits)
    )
    return f"{style()}<div class='wb'>{rows or 'Nothing found.'}</div>"


def unified_diff(a: str, b: str, name_a: str, name_b: str) -> str:
    """Return the unified diff from ``a`` to ``b``, "" where they are equal."""
    lines = difflib.unified_diff(a.splitlines(), b.splitlines(), name_a, name_b, lineterm="")
    return "\n".join(lines)


def diff_html(a: str, b: str, name_a: str, name_b: str) -> str:
    """Return a coloured unified diff, or a word that there is none. Needs ``style()``."""
    diff = unified_diff(a, b, name_a, name_b)
    if not diff:
        return "<div class='wb wb-dim'>The two answers are the same.</div>"
    lines = []
    for line in diff.splitlines():
        kind = {"+": "wb-add", "-": "wb-del"}.get(line[:1], "")
        lines.append(f"<span class='{kind}'>{html.escape(line)}</span>")
    return f"<div class='wb wb-diff'><pre>{chr(10).join(lines)}</pre></div>"
