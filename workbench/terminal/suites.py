"""How problem sets look in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from workbench.suites.problems import describe
from workbench.types import CallTests, OutputTests, ProgramTests

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.registry import Entry
    from workbench.suites.checking import CheckReport, Failure
    from workbench.suites.problems import Suite
    from workbench.suites.whereabouts import Whereabouts
    from workbench.types import Example, Tests

MAX_IDS = 8
"""So many ids of a finding are named."""


def show_menu(rows: Sequence[Whereabouts], retrieval: Sequence[Entry]) -> None:
    """Print the suites of problems, and those of queries.

    Their names are long and so is what is said of them: each has lines of its own, not columns.
    """
    console = Console()
    console.print("Problems, for: workbench evaluate --suite NAME", style="dim")
    for row in rows:
        where = ("here", "green") if row.is_here else (f"needs {row.needs}", "yellow")
        _print_entry(console, row.form, where, row.summary)
    console.print("\nQueries, for: workbench retrieval-report --suite NAME", style="dim")
    for entry in retrieval:
        form = f"{entry.name}:{entry.needs}" if entry.needs else entry.name
        _print_entry(console, form, ("", ""), entry.summary)


def _print_entry(console: Console, form: str, where: tuple[str, str], summary: str) -> None:
    console.print(Text.assemble("\n", (form, "bold"), "  ", where), soft_wrap=True)
    console.print(Padding(Text(summary), (0, 0, 0, 2)))


def show_suite(suite: Suite) -> None:
    """Print what a suite says of itself, and how its examples are tagged."""
    console = Console()
    said = describe(suite)
    tags = said.pop("tags")
    table = _table(None, "", "")
    table.show_header = False
    for name, value in said.items():
        _add(table, name, ", ".join(value) if isinstance(value, list) else str(value))
    for name, counts in tags.items():
        _add(table, f"by {name}", ", ".join(f"{one} {n:,}" for one, n in counts.items()))
    console.print(table)


def show_example(example: Example) -> None:
    """Print a problem as it is asked, then its answer key."""
    console = Console()
    question, reference = example.question, example.reference
    console.rule(question.id)
    for file in question.files:
        console.print(file.name, style="dim")
        _print_code(console, file.text, file.language)
    console.print(Text(question.text))
    for number, text in enumerate(reference.texts, 1):
        console.rule(f"reference {number}" if len(reference.texts) > 1 else "reference")
        if question.task == "summarize":
            console.print(Text(text))
        else:
            _print_code(console, text, question.target_language)
    if reference.tests is not None:
        console.rule("tests")
        _print_tests(console, reference.tests)
    if example.tags:
        said = ", ".join(f"{name}: {value}" for name, value in example.tags.items())
        console.print(said, style="dim", highlight=False)


def show_form() -> None:
    """Print the form of a file of one's own."""
    from workbench.suites import own_files

    Console().print(Text(own_files.__doc__ or ""))


def show_check(report: CheckReport) -> None:
    """Print which solutions fail, what else was found, and what that comes to."""
    console = Console()
    for title, failures in (("fail", report.failures), ("not judged", report.unjudged)):
        if failures:
            console.print(_failures(title, failures))
    for finding in report.findings:
        more = f" and {len(finding.ids) - MAX_IDS:,} more" if len(finding.ids) > MAX_IDS else ""
        named = ", ".join(finding.ids[:MAX_IDS])
        console.print(
            f"{finding.what} ({len(finding.ids):,}): {named}{more}", highlight=False, markup=False
        )
    verdict = "sound" if report.is_sound else "not sound"
    ran = (
        f"{report.passed:,} of {report.solutions:,} solutions pass"
        if report.solutions
        else "there was no solution to run"
    )
    console.print(
        Text(f"{report.suite}: {report.examples:,} examples, {ran}: {verdict}.", style="bold")
    )


def _failures(title: str, failures: Sequence[Failure]) -> Table:
    table = _table(None, title, "verdict", "detail")
    for one in failures:
        _add(table, one.id, one.verdict, one.detail)
    return table


def _print_tests(console: Console, tests: Tests) -> None:
    if isinstance(tests, ProgramTests):
        if tests.entry_point:
            console.print(f"calls {tests.entry_point}", style="dim", highlight=False)
        _print_code(console, tests.code, tests.language)
    elif isinstance(tests, CallTests):
        for call in tests.calls:
            args = ", ".join(map(repr, call.args))
            console.print(Text(f"{tests.entry_point}({args}) == {call.expected!r}"))
    elif isinstance(tests, OutputTests):
        for run in tests.runs:
            console.print(Text(f"reads {run.stdin!r}, prints {run.digest or run.stdout!r}"))


def _print_code(console: Console, code: str, language: str | None) -> None:
    console.print(Syntax(code.rstrip(), language or "text", word_wrap=True, theme="ansi_light"))


def _table(title: str | None, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _add(table: Table, *cells: str) -> None:
    """Add a row of plain texts: brackets in them are no markup."""
    table.add_row(*map(Text, cells))
