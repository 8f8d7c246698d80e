"""The training loop of an embedder: sentence-transformers' trainer, resumable and watched."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from sentence_transformers.sentence_transformer.training_args import BatchSamplers
from transformers import PrinterCallback, TrainerCallback

from workbench.cancel import cancelled
from workbench.errors import MissingModel, WorkbenchError
from workbench.progress import bar, quiet_transformers
from workbench.retrieval.embedders import multiplies_bfloat16
from workbench.settings import settings

if TYPE_CHECKING:
    from tqdm import tqdm

    from workbench.training.examples import Example
    from workbench.training.recipe import Recipe

_CHECKPOINTS = 8
"""How often a training is saved. Each is three times the weights: 270 MB for minilm."""
_PARTS = 50
"""The most means that the losses are summed up to."""
_WHOLE = "whole"


@dataclass(frozen=True, slots=True)
class Trained:
    """A model after training; ``losses`` are means over equal parts of ``steps``."""

    model: SentenceTransformer
    steps: int
    losses: tuple[float, ...]


def train(examples: Sequence[Example], source: Path, folder: Path, recipe: Recipe) -> Trained:
    """Train the model in ``source`` on ``examples``, going on from checkpoints in ``folder``.

    The same arguments give the same weights on the same machine with the same threads, however
    often the training was interrupted.

    Raises:
        MissingModel: the base cannot be loaded.
        WorkbenchError: the work was cancelled; what was trained so far is in ``folder``.
    """
    now = settings()
    if now.threads:
        torch.set_num_threads(now.threads)
    model = _open(source)
    reads = model.max_seq_length
    if reads != math.inf:  # a table of token vectors reads whatever comes, and cannot be told
        model.max_seq_length = min(recipe.max_tokens, reads or recipe.max_tokens)
    batch = min(recipe.batch, len(examples))
    steps = math.ceil(recipe.epochs * (len(examples) // batch))
    with bar(total=steps, desc="Tuning", unit=" steps") as progress, _quiet():
        trainer = _Trainer(
            model=model,
            args=_arguments(folder, recipe, batch, steps),
            train_dataset=_rows(examples),
            loss=MultipleNegativesRankingLoss(model, scale=recipe.scale),
            callbacks=[_Watch(progress)],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train(resume_from_checkpoint=_last_checkpoint(folder))
    state = trainer.state
    if cancelled() and state.global_step < state.max_steps:
        raise WorkbenchError(
            f"The tuning was stopped after {state.global_step} of {steps} steps.",
            "The same call goes on from there.",
        )
    if reads != math.inf:
        model.max_seq_length = reads
    if recipe.weight < 1:
        _average(model, _open(source), recipe.weight)
    losses = tuple(row["loss"] for row in state.log_history if "loss" in row)
    return Trained(model.cpu(), state.global_step, losses)


def _open(source: Path) -> SentenceTransformer:
    try:
        with _quiet():
            return SentenceTransformer(
                str(source),
                device=settings().device,
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"dtype": torch.float32},
            )
    except (OSError, ValueError, KeyError) as error:
        raise MissingModel(
            f"{source} cannot be loaded: {str(error).strip().splitlines()[0]}",
            "Take another base: minilm, mpnet or a sentence-transformers folder.",
        ) from error


def _arguments(
    folder: Path, recipe: Recipe, batch: int, steps: int
) -> SentenceTransformerTrainingArguments:
    on_cpu = settings().device == "cpu" or not (
        torch.cuda.is_available() or torch.backends.mps.is_available()
    )
    return SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=batch,
        learning_rate=recipe.learning_rate,
        warmup_steps=round(recipe.warmup * steps),
        weight_decay=0.01,
        seed=recipe.seed,
        data_seed=recipe.seed,
        batch_sampler=BatchSamplers.NO_DUPLICATES,
        dataloader_drop_last=True,
        dataloader_pin_memory=not on_cpu,
        use_cpu=on_cpu,
        # Products in bfloat16, weights and sums in float32.
        bf16=multiplies_bfloat16() if on_cpu else torch.cuda.is_bf16_supported(),
        save_strategy="steps",
        save_steps=max(1, -(-steps // _CHECKPOINTS)),
        save_total_limit=2,
        logging_steps=max(1, -(-steps // _PARTS)),
        disable_tqdm=True,
        report_to="none",
    )


def _rows(examples: Sequence[Example]) -> Dataset:
    columns = {
        "anchor": [one.query for one in examples],
        "positive": [one.positive for one in examples],
    }
    for number in range(len(examples[0].negatives)):
        columns[f"negative_{number + 1}"] = [one.negatives[number] for one in examples]
    return Dataset.from_dict(columns)


class _Trainer(SentenceTransformerTrainer):
    """The library's trainer without its model cards, which took longer to write than weights."""

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Add none."""

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        self.model.save(str(output_dir), create_model_card=False)


class _Watch(TrainerCallback):
    """Moves the bar, marks checkpoints that are whole, and stops a training nobody waits for."""

    def __init__(self, progress: tqdm[Any]) -> None:
        self._progress = progress

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Begin where the last checkpoint ended, so that rate and estimate are right."""
        self._progress.initial = state.global_step
        self._progress.n = state.global_step

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Count a step."""
        self._progress.update(state.global_step - self._progress.n)
        if cancelled():
            control.should_save = True
            control.should_training_stop = True

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Show the last step, for which the bar may not have found the time."""
        self._progress.refresh()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Show the loss."""
        if logs and "loss" in logs:
            self._progress.set_postfix_str(f"loss {logs['loss']:.3f}", refresh=False)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Mark a checkpoint as whole: its files do not appear in one step."""
        (Path(args.output_dir) / f"checkpoint-{state.global_step}" / _WHOLE).touch()


def _last_checkpoint(folder: Path) -> str | None:
    marks = folder.glob(f"checkpoint-*/{_WHOLE}")
    whole = sorted((mark.parent for mark in marks), key=lambda path: int(path.name.split("-")[1]))
    return str(whole[-1]) if whole else None


def save_average(tuned: Path, base: Path, weight: float, out: Path) -> None:
    """Write the average of two models of one shape to ``out``, ``weight`` of it ``tuned``'s.

    What training with that ``weight`` gives, from one training for any number of weights.
    """
    model = _open(tuned)
    _average(model, _open(base), weight)
    model.cpu().save(str(out), create_model_card=False)


def _average(model: SentenceTransformer, base: SentenceTransformer, weight: float) -> None:
    """Put ``weight`` of the tuned weights and the rest of the base's into ``model``."""
    with torch.no_grad():
        others = dict(base.named_parameters())
        for name, parameter in model.named_parameters():
            parameter.lerp_(others[name].to(parameter.device), 1 - weight)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the libraries' own bars and advice off the terminal."""
    with quiet_transformers(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
