"""What an evaluation found, as tables: to CSV, Parquet, Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import BadInput, MissingExtra, UnknownName
from workbench.evaluation.pairs import all_pairs
from workbench.evaluation.splits import split, tags_of

if TYPE_CHECKING:
    import pandas as pd

    from workbench.evaluation.records import Evaluation, Figure

# What stands in a table of a paper must not read as markup there.
_MARKDOWN = str.maketrans({"|": "\\|", "\n": " ", "<": "&lt;"})


def leaderboard_table(evaluation: Evaluation) -> pd.DataFrame:
    """Return a row a solver, best first by the leading metric.

    For each metric its value and the ends of its interval; then answers, errors, what was not
    judged by the leading metric, tokens, seconds and money.
    """
    import pandas as pd

    leading = evaluation.metrics[0] if evaluation.metrics else None
    rows = []
    for counts in evaluation.counts:
        row: dict[str, Any] = {"solver": counts.solver}
        for rule in evaluation.metrics:
            one = evaluation.figure(counts.solver, rule.name)
            row |= {
                rule.name: one.value,
                f"{rule.name} low": one.low,
                f"{rule.name} high": one.high,
            }
        first = evaluation.figure(counts.solver, leading.name) if leading else None
        row |= {
            "questions": first.questions if first else counts.answered,
            "answered": counts.answered,
            "errors": counts.errors,
            "not judged": first.unjudged + first.missing if first else 0,
            "input tokens": counts.input_tokens,
            "output tokens": counts.output_tokens,
            "seconds": counts.seconds,
            "USD": counts.usd,
        }
        rows.append(row)
    table = pd.DataFrame(rows)
    if leading is None or table.empty:
        return table
    ranked = table.sort_values(leading.name, ascending=not leading.higher_is_better, kind="stable")
    return ranked.reset_index(drop=True)


def pairs_table(evaluation: Evaluation) -> pd.DataFrame:
    """Return a row a pair of solvers and metric: the difference, its interval, p, and flips."""
    import pandas as pd

    return pd.DataFrame(
        {
            "metric": pair.metric,
            "a": pair.a,
            "b": pair.b,
            "questions": pair.paired.n,
            "a's figure": pair.paired.mean_a,
            "b's figure": pair.paired.mean_b,
            "difference": pair.paired.difference,
            "low": pair.paired.low,
            "high": pair.paired.high,
            "p": pair.paired.p_value,
            "p corrected": pair.p_value,
            "test": pair.test,
            "only a": len(pair.only_a),
            "only b": len(pair.only_b),
            "better": pair.better or "cannot tell",
        }
        for rule in evaluation.metrics
        for pair in all_pairs(evaluation, rule.name)
    )


def splits_table(evaluation: Evaluation) -> pd.DataFrame:
    """Return a row a tag, its value, solver and metric: the figure on those questions alone."""
    import pandas as pd

    return pd.DataFrame(
        {
            "tag": part.tag,
            "value": part.value,
            "solver": part.solver,
            "metric": part.metric,
            "figure": part.figure,
            "low": part.low,
            "high": part.high,
            "questions": part.questions,
        }
        for tag in tags_of(evaluation)
        for part in split(evaluation, tag)
    )


def results_table(evaluation: Evaluation) -> pd.DataFrame:
    """Return a row an answer: its text or error, its scores with their reasons, what it took."""
    return evaluation.df


TABLES: Mapping[str, Callable[[Evaluation], pd.DataFrame]] = {
    "leaderboard": leaderboard_table,
    "pairs": pairs_table,
    "splits": splits_table,
    "results": results_table,
}


def table(evaluation: Evaluation, name: str) -> pd.DataFrame:
    """Return the table called ``name``, one of ``TABLES``.

    Raises:
        UnknownName: none is called so.
    """
    if name not in TABLES:
        raise UnknownName("table", name, TABLES)
    return TABLES[name](evaluation)


def write_table(
    evaluation: Evaluation, name: str, path: Path | str, form: str | None = None
) -> Path:
    """Write a table to a file, in the form of that ending or else of its own; return the path.

    ``.csv``, ``.parquet``, ``.md`` and ``.tex`` (booktabs). Floats are written in full in the
    first two and with three digits in the others, where the best figure is bold.

    Raises:
        UnknownName: no table is called so.
        BadInput: the ending is another, the table is empty (no pairs of one solver, no splits
            without tags), or the file cannot be written.
        MissingExtra: what writes that form is not installed.
    """
    target = Path(path)
    writer = _WRITERS.get(form or target.suffix.lower())
    if writer is None:
        raise BadInput(
            f"A table cannot be written as '{target.suffix or target.name}'.",
            f"Take one of: {', '.join(_WRITERS)}",
        )
    found = table(evaluation, name)
    if found.columns.empty:
        raise BadInput(
            f"There is nothing in the table {name} of the run {evaluation.run}.",
            f"Take another one: {', '.join(one for one in TABLES if one != name)}",
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        writer(evaluation, name, found, target)
    except OSError as error:
        raise BadInput(f"{target} cannot be written: {error.strerror or error}.") from error
    except ImportError as error:
        raise MissingExtra(f"Writing {target.suffix}", "evaluate") from error
    return target


def to_markdown(evaluation: Evaluation, name: str = "leaderboard") -> str:
    """Return a table as Markdown, figures with their intervals, the best ones bold."""
    shown = _shown(evaluation, name, lambda text: f"**{text}**", _escaped)
    lines = [" | ".join(shown.columns), " | ".join("---" for _ in shown.columns)]
    lines += [" | ".join(row) for row in shown.itertuples(index=False, name=None)]
    return "\n".join(f"| {line} |" for line in lines) + "\n"


def to_latex(evaluation: Evaluation, name: str = "leaderboard") -> str:
    """Return a table as LaTeX with booktabs' rules, the best figures bold.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    shown = _shown(evaluation, name, lambda text: f"\\textbf{{{text}}}", latex)
    try:
        return str(
            shown.style.hide(axis="index").to_latex(
                hrules=True, column_format="l" + "r" * (len(shown.columns) - 1)
            )
        )
    except ImportError as error:
        raise MissingExtra("LaTeX", "evaluate") from error


def latex(text: str) -> str:
    """Return text in one line in which nothing is a command of LaTeX."""
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    # Without a modern font encoding these print as other signs.
    special |= {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''"}
    # At the beginning of a row they would belong to the end of the row before.
    special |= {"[": "{[}", "*": "{*}"}
    special |= {sign: f"\\{sign}" for sign in "&%$#_{}"}
    return "".join(special.get(character, character) for character in " ".join(text.split()))


def _escaped(text: str) -> str:
    return text.translate(_MARKDOWN)


def _shown(
    evaluation: Evaluation,
    name: str,
    bold: Callable[[str], str],
    escape: Callable[[str], str],
) -> pd.DataFrame:
    """Return a table of texts to be read: figures with intervals in one cell, escaped."""
    import pandas as pd

    if name == "leaderboard":
        rows = [_leaderboard_row(evaluation, one, bold, escape) for one in _order(evaluation)]
        return pd.DataFrame(rows).rename(columns=escape)
    found = table(evaluation, name)
    return found.map(lambda value: escape(_text(value))).rename(columns=escape)


def _order(evaluation: Evaluation) -> list[str]:
    return [str(name) for name in leaderboard_table(evaluation)["solver"]]


def _leaderboard_row(
    evaluation: Evaluation,
    solver: str,
    bold: Callable[[str], str],
    escape: Callable[[str], str],
) -> dict[str, str]:
    row = {"solver": escape(solver)}
    for rule in evaluation.metrics:
        one = evaluation.figure(solver, rule.name)
        text = escape(str(one))
        row[rule.name] = bold(text) if one.value is not None and is_best(evaluation, one) else text
    counts = next(one for one in evaluation.counts if one.solver == solver)
    return {**row, "answered": f"{counts.answered:,}", "errors": f"{counts.errors:,}"}


def is_best(evaluation: Evaluation, one: Figure) -> bool:
    """Say whether no solver of the run has a better figure of this metric."""
    others = [evaluation.figure(name, one.metric).value for name in evaluation.names]
    known = [value for value in others if value is not None]
    return bool(known) and one.value == (max(known) if one.higher_is_better else min(known))


def _text(value: Any) -> str:
    import pandas as pd

    if value is None or (isinstance(value, float) and pd.isna(value)):
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _write_csv(evaluation: Evaluation, name: str, found: pd.DataFrame, path: Path) -> None:
    found.to_csv(path, index=False)


def _write_parquet(evaluation: Evaluation, name: str, found: pd.DataFrame, path: Path) -> None:
    found.to_parquet(path, index=False)


def _write_markdown(evaluation: Evaluation, name: str, found: pd.DataFrame, path: Path) -> None:
    path.write_text(to_markdown(evaluation, name), encoding="utf-8")


def _write_latex(evaluation: Evaluation, name: str, found: pd.DataFrame, path: Path) -> None:
    path.write_text(to_latex(evaluation, name), encoding="utf-8")


_WRITERS: Mapping[str, Callable[[Any, str, Any, Path], None]] = {
    ".csv": _write_csv,
    ".parquet": _write_parquet,
    ".md": _write_markdown,
    ".tex": _write_latex,
}
