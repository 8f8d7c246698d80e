"""``workbench metric``: scores of files, without a run."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.options import Json, print_json

if TYPE_CHECKING:
    from workbench.metrics.files import FileScores
    from workbench.types import Embedder


def metric(
    answers: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A text a line; .jsonl with text, completion or prediction; a file of code; or a"
            " folder of files.",
        ),
    ],
    refs: Annotated[
        list[Path] | None,
        typer.Option(help="The references, in the same form; repeat for several to each."),
    ] = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            "-m",
            help="BLEU, chrF, chrF++, TER, ROUGE-L, CodeBLEU, exact-match, AST-match, similarity or"
            " readability, options behind a plus: CodeBLEU+corrected; repeatable. Default: BLEU"
            " and chrF.",
        ),
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="Language of the code; default: by its ending.")
    ] = None,
    embedder: Annotated[
        str | None, typer.Option(help="What embeds for the metric similarity, as minilm.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Score files against references: figure, 95 % interval and signature of each metric."""
    from workbench.metrics.files import score_files
    from workbench.terminal.metric import show_file_scores

    found = score_files(
        answers,
        refs or [],
        metrics or ["BLEU", "chrF"],
        language=language,
        embedder=_embedder(embedder),
    )
    print_json(_plain(found)) if as_json else show_file_scores(found)
    if all(one.figure.value is None for one in found.metrics):
        raise typer.Exit(1)


def _embedder(name: str | None) -> Embedder | None:
    if name is None:
        return None
    from workbench.retrieval import load_embedder

    return load_embedder(name)


def _plain(found: FileScores) -> dict[str, Any]:
    """Return scores as JSON has them."""
    return {
        "answers": found.answers,
        "unanswered": found.unanswered,
        "metrics": [
            {
                **asdict(one.figure),
                "higher_is_better": one.higher_is_better,
                "signature": one.signature,
                "scores": [
                    {"id": name, "value": score.value, "detail": score.detail}
                    for name, score in one.scores
                ],
            }
            for one in found.metrics
        ],
    }
