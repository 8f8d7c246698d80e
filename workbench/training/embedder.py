"""Tune an embedder on pairs mined from a corpus.

The loss is that of Henderson et al. (2017), known as MultipleNegativesRankingLoss: in a batch,
each query has its own function as the right answer and all others as wrong ones. Afterwards the
weights may be averaged with those of the base (WiSE-FT, Wortsman et al. 2022), which keeps what
the base knows about queries unlike those of the corpus.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.corpus.mining import MINING_VERSION, MinedPair
from workbench.durable import write_durably
from workbench.errors import BadInput, MissingExtra
from workbench.locks import exclusive
from workbench.retrieval.hub_models import TUNING_RECORD as RECORD
from workbench.training.examples import Example, make_examples
from workbench.training.recipe import STATIC, Recipe, default_recipe
from workbench.training.static_base import static_folder
from workbench.weights import locate
from workbench.weights.catalogue import CATALOGUE

if TYPE_CHECKING:
    from workbench.training.trainer import Trained

__all__ = ["RECORD", "Recipe", "Tuned", "base_folder", "tune"]

MIN_PAIRS = 16
_FORMAT = 1
_PACKAGES = ("sentence-transformers", "transformers", "torch")


@dataclass(frozen=True, slots=True)
class Tuned:
    """A tuned embedder on disk. ``losses`` are means over equal parts of the training, in order.

    ``unchanged`` is True where it was there already, made from the same things, and nothing was
    trained.
    """

    folder: Path
    base: str
    pairs: int
    steps: int
    seconds: float
    losses: tuple[float, ...] = field(repr=False)
    unchanged: bool = False


def tune(
    pairs: Sequence[MinedPair],
    base: str,
    out: Path,
    recipe: Recipe | None = None,
    *,
    corpus_digest: str = "",
) -> Tuned:
    """Train ``base`` on ``pairs`` and write a sentence-transformers folder to ``out``.

    ``base`` is static, minilm, mpnet or a sentence-transformers folder; without ``recipe`` the
    one that did best for it. The folder appears whole, with
    ``tuning.json`` in it, or not at all; one that is there is replaced. A call that was killed or
    cancelled goes on from its last checkpoint when it is made again with the same arguments, and
    on one machine gives the same weights as a call that was not.

    Raises:
        BadInput: the base cannot be tuned, or there are too few pairs.
        MissingModel: the base's weights are not to be had.
        MissingExtra: the packages that train are not installed.
        InUse: another process is tuning the same embedder.
        WorkbenchError: the work was cancelled.
    """
    recipe = recipe or default_recipe(base)
    train = _trainer()
    examples = _examples(pairs, recipe)
    source = base_folder(base)
    made_from = {
        "format": _FORMAT,
        "base": base,
        "base_fingerprint": _digest_of_folder(source),
        "corpus_digest": corpus_digest,
        "mining": MINING_VERSION,
        "pairs": len(pairs),
        "examples": len(examples),
        "examples_digest": _digest_of_examples(examples),
        "recipe": asdict(recipe),
        "versions": {name: version(name) for name in _PACKAGES},
    }
    work = out.parent / f".{out.name}.work"
    with exclusive(work, f"The embedder {out.name} is being tuned"):
        _finish_swap(out)
        found = _read(out)
        if found is not None and {name: found.get(name) for name in made_from} == made_from:
            return _tuned(out, found, unchanged=True)
        with _resumable(work, made_from) as checkpoints:
            start = time.perf_counter()
            trained = train(examples, source, checkpoints, recipe)
            figures = {
                "steps": trained.steps,
                "seconds": round(time.perf_counter() - start, 1),
                "losses": [round(loss, 5) for loss in trained.losses],
            }
            staged = work / "staged"
            shutil.rmtree(staged, ignore_errors=True)
            trained.model.save(str(staged), create_model_card=False)
            write_durably(staged / RECORD, json.dumps({**made_from, **figures}, indent=1))
            _swap(staged, out)
    return _tuned(out, {**made_from, **figures}, unchanged=False)


def _trainer() -> Callable[[Sequence[Example], Path, Path, Recipe], Trained]:
    try:
        from workbench.training.trainer import train
    except ModuleNotFoundError as error:
        raise MissingExtra("Tuning an embedder", "tune") from error
    return train


def base_folder(base: str) -> Path:
    """Return the sentence-transformers folder of a base to tune.

    Raises:
        BadInput: ``base`` is no model that can be tuned; the message says which can.
        MissingModel: its weights are not to be had.
    """
    if base == STATIC:
        return static_folder()
    tunable = [STATIC, *(name for name in CATALOGUE if _is_tunable(name))]
    remedy = f"Tune {', '.join(tunable)}, or a folder that sentence-transformers wrote."
    if base in CATALOGUE:
        if not _is_tunable(base):
            raise BadInput(f"{base} cannot be tuned: its weights are for running only.", remedy)
        return locate(base)
    folder = Path(base).expanduser()
    if not (folder / "modules.json").is_file():
        raise BadInput(f"'{base}' is no embedder that can be tuned.", remedy)
    return folder


def _is_tunable(name: str) -> bool:
    paths = [file.path for file in CATALOGUE[name].files]
    return "modules.json" in paths and "model.safetensors" in paths


def _examples(pairs: Sequence[MinedPair], recipe: Recipe) -> list[Example]:
    examples = make_examples(
        pairs,
        web_style=recipe.web_style,
        documented=recipe.documented,
        hard_negatives=recipe.hard_negatives,
        seed=recipe.seed,
    )
    if len(examples) < MIN_PAIRS:
        raise BadInput(
            f"{len(examples)} pairs to train on are too few; {MIN_PAIRS} are the least.",
            "Crawl more documented code.",
        )
    return examples


def _digest_of_examples(examples: Sequence[Example]) -> str:
    digest = hashlib.sha256()
    for one in examples:
        digest.update(json.dumps([one.query, one.positive, *one.negatives]).encode())
    return digest.hexdigest()


def _digest_of_folder(folder: Path) -> str:
    """Hash what decides the vectors: configurations, tokenizer and weights."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not path.is_file() or hidden or name in (RECORD, "README.md", "LICENSE.txt"):
            continue
        with path.open("rb") as file:
            digest.update(f"{name}:{hashlib.file_digest(file, 'sha256').hexdigest()};".encode())
    return digest.hexdigest()[:16]


# --- files that are whole or not there -------------------------------------------------


def _old(out: Path) -> Path:
    return out.with_name(f".{out.name}.old")


def _swap(staged: Path, out: Path) -> None:
    """Put a finished folder in place of the one that is there, if one is.

    No system call replaces a full folder by another on every system, so there is a moment at
    which neither is in place; ``_finish_swap`` mends what a kill leaves of it.
    """
    if out.exists():
        out.replace(_old(out))
    staged.replace(out)
    shutil.rmtree(_old(out), ignore_errors=True)


def _finish_swap(out: Path) -> None:
    if _old(out).exists() and not out.exists():
        _old(out).replace(out)
    shutil.rmtree(_old(out), ignore_errors=True)


def _read(out: Path) -> dict[str, Any] | None:
    try:
        record = json.loads((out / RECORD).read_bytes())
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def _tuned(out: Path, record: Mapping[str, Any], *, unchanged: bool) -> Tuned:
    return Tuned(
        folder=out,
        base=record["base"],
        pairs=record["pairs"],
        steps=record["steps"],
        seconds=record["seconds"],
        losses=tuple(record["losses"]),
        unchanged=unchanged,
    )


@contextlib.contextmanager
def _resumable(work: Path, made_from: Mapping[str, Any]) -> Iterator[Path]:
    """Give a folder for checkpoints, emptied where those in it belong to another training.

    It is removed once the training is through, and kept where it ends by an error.
    """
    checkpoints, key = work / "checkpoints", work / "made_from.json"
    wanted = json.dumps(made_from, sort_keys=True)
    if not key.is_file() or key.read_text(encoding="utf-8") != wanted:
        shutil.rmtree(checkpoints, ignore_errors=True)
        write_durably(key, wanted)
    checkpoints.mkdir(exist_ok=True)
    yield checkpoints
    shutil.rmtree(checkpoints)
    key.unlink()
