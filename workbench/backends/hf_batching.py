"""Requests that come at once are answered in one batch: one forward of the model a token for all.

Prompts are read into a cache of their own, in pieces while others generate, so that nobody waits
long for a stranger's prompt; then they join those who generate. Who is done leaves between two
tokens. Requests with the same tokens, as n samples of one prompt are, are read once.

transformers has continuous batching of its own (5.23, ``generate_batch``), which is not used: it
has one seed for all requests and samples for all or none of them, and on a CPU it answered
sixteen prompts 3.5 times slower than one padded batch does (SmolLM2-135M in bfloat16, two cores:
40 against 140 tokens/s).

Who else is in a batch changes the last digits of what is computed, and so an answer where two
tokens are about equally likely. A request that is alone is computed as if there were no batches.
"""

from __future__ import annotations

import atexit
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

from workbench.backends.hf_cache import Live, Network, Reading, Stopped
from workbench.backends.hf_loading import first_sentence, hf
from workbench.backends.hf_rows import Row, choose
from workbench.errors import BackendError

# Beyond so many rows, one more costs the others about as much time as it saves.
_MOST_ROWS, _MOST_ROWS_CUDA = 32, 128
# Tokens of prompts, padding included, that are read in one batch: enough to be busy with.
_PROMPT_TOKENS, _PROMPT_TOKENS_CUDA = 1024, 16_384
# How long those who generate wait for a piece of the prompts of those who join; and how long
# several prompts are read before those are let go that nobody waits for any more.
_PIECE_SECONDS, _ALONE_SECONDS = 0.4, 1.5
_LEAST_COLUMNS = 8
_TOKENS_PER_SECOND = 256.0  # assumed until it is measured
_EXIT_SECONDS = 2.0
# A thread that is new to a GPU needs three seconds to warm up (an H200: 15 tokens/s for one row at
# first, 60 then), so there it waits for more work before it ends.
_LINGER_SECONDS = 600.0


class Batcher:
    """Answers rows with one model, in a thread that lives as long as there are any.

    On a GPU it stays a while longer.

    ``activate`` lays an adapter over the model, or none; a batch has one. ``tokens_read`` counts
    the tokens of prompts, without padding, that went through the model, and ``most_at_once`` the
    rows of the largest batch.
    """

    def __init__(
        self,
        network: Network,
        name: str,
        activate: Callable[[str | None], None] = lambda adapter: None,
    ) -> None:
        self.mode = network.mode
        self.tokens_read = 0
        self.most_at_once = 0
        self._working = threading.Lock()  # held while the model is in use
        self._turnstile = threading.Lock()  # held by who wants the model to himself
        self._network = network
        self._name = name
        self._activate = activate
        self._guard = threading.Condition()
        self._thread: threading.Thread | None = None
        self._waiting: list[Row] = []
        self._reading: Reading | None = None
        self._live: Live | None = None
        cuda = network.device.startswith("cuda")
        self._linger = _LINGER_SECONDS if cuda else 0.0
        self._ended = False
        self._prompt_tokens = _PROMPT_TOKENS_CUDA if cuda else _PROMPT_TOKENS
        self._row_limit = _MOST_ROWS_CUDA if cuda else _MOST_ROWS
        self._most_rows = self._row_limit
        self._tokens_per_second = _TOKENS_PER_SECOND
        _batchers.add(self)

    def submit(self, row: Row) -> None:
        """Have a row answered; its channel brings tokens, and an end or a BackendError."""
        with self._guard:
            self._waiting.append(row)
            self._guard.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="transformers", daemon=True)
                self._thread.start()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Within the block, the model is not in use. Begins after the token that is under way."""
        # A thread that lets go of a lock and takes it again leaves no chance to who waits for it.
        with self._turnstile, self._working:
            yield

    def close(self) -> None:
        """Let go of the model, after the token that is under way."""
        with self.paused():
            self._network.model = None
        self._end()

    def stop(self) -> None:
        """Let go of all rows, and wait a little for the thread to end."""
        self._end()
        with self._guard:
            thread, rows = self._thread, [*self._waiting]
        for batch in (self._reading, self._live):
            rows += batch.rows if batch else ()
        for row in rows:
            row.channel.stop()
        if thread is not None:
            thread.join(_EXIT_SECONDS)

    def _end(self) -> None:
        """Have the thread end as soon as there is no work."""
        with self._guard:
            self._ended = True
            self._guard.notify_all()

    # --- what the thread does ---------------------------------------------------------------

    def _work(self) -> None:
        with torch.inference_mode():
            while self._has_work():
                try:
                    with self._turnstile:
                        pass
                    with self._working:
                        self._turn()
                except Stopped:
                    pass  # the next turn lets go of them
                except Exception as error:  # whatever a model's code raises: somebody waits for it
                    self._fail(error)

    def _has_work(self) -> bool:
        with self._guard:
            if self._waiting or self._reading or self._live:
                return True
            self._most_rows = self._row_limit
            self._guard.wait_for(lambda: self._waiting or self._ended, self._linger)
            if self._waiting:
                return True
            self._thread = None
            return False

    def _turn(self) -> None:
        """Read a piece of the prompts that wait, and give each row that generates a token."""
        self._let_go()
        if self.mode == "alone":
            self._answer_next()
            return
        if self._reading is None:
            self._gather()
        if self._reading is not None:
            self._read(self._reading)
        if self._live is not None:
            self._activate(self._live.rows[0].adapter)
            self._accept(self._live, self._live.step(self._network))
            self._let_go()

    def _let_go(self) -> None:
        """Part with the rows that are complete, or that nobody waits for."""
        with self._guard:
            self._waiting = _staying(self._waiting)
        if self._reading is not None:
            staying = _staying(self._reading.rows)
            if staying:
                self._reading.keep(staying)
            self._reading = self._reading if staying else None
        if self._live is not None:
            staying = _staying(self._live.rows)
            if staying:
                self._live.keep(staying)
            self._live = self._live if staying else None

    def _gather(self) -> None:
        """Begin to read for those who can go together now, and first for who waits longest.

        Who wants another adapter than those who generate, or finds no room beside them, waits
        until they are done; meanwhile nobody overtakes.
        """
        with self._guard:
            if not self._waiting or not self._may_join(self._waiting[0]):
                return
            first, *others = self._waiting
            others.sort(key=lambda row: abs(len(row.ids) - len(first.ids)))  # to pad little
            taken: list[Row] = []
            prompts: set[tuple[int, ...]] = set()
            for row in (first, *others):
                if self._fits(row, taken, prompts):
                    taken.append(row)
                    prompts.add(tuple(row.ids))
                elif row is first:
                    return
            self._reading = Reading(taken, self._network)
            self._waiting = [row for row in self._waiting if row not in taken]

    def _may_join(self, row: Row) -> bool:
        if self._live is None:
            return True
        return self.mode == "joining" and row.adapter == self._live.rows[0].adapter

    def _fits(self, row: Row, taken: Sequence[Row], prompts: set[tuple[int, ...]]) -> bool:
        """Say whether a row fits in with those taken, of these prompts, and those who generate."""
        if taken and row.adapter != taken[0].adapter:
            return False
        if prompts and tuple(row.ids) not in prompts:
            padded = (len(prompts) + 1) * max(len(row.ids), *(len(one) for one in prompts))
            if padded > self._prompt_tokens:
                return False
        return self._has_room([*taken, row])

    def _has_room(self, joining: Sequence[Row]) -> bool:
        rows = [*joining, *(self._live.rows if self._live else ())]
        longest = max(row.length for row in rows)
        return len(rows) == 1 or (
            len(rows) <= self._most_rows and self._network.has_room(len(rows), longest, self._live)
        )

    def _read(self, reading: Reading) -> None:
        """Read the next piece of the prompts; who has read it all joins those who generate."""
        self._activate(reading.rows[0].adapter)
        start = time.perf_counter()
        tokens, logits = reading.read(self._network, self._columns(reading))
        if self._network.device != "cpu":
            torch.accelerator.synchronize()
        self._tokens_per_second = tokens / max(time.perf_counter() - start, 1e-6)
        if logits is None:
            return
        self.tokens_read += reading.tokens
        self._share(reading)
        joining = reading.finished()
        self._accept(joining, logits[reading.places])
        if self._live is None:
            self._live = joining
        else:
            self._live.join(joining)
        self._reading = None
        self._let_go()

    def _columns(self, reading: Reading) -> int | None:
        """Say how much to read at once; None is all.

        A prompt that is alone is read whole, for what is computed must not depend on the time
        that it takes.
        """
        if self.mode == "together" or (self._live is None and reading.prompts == 1):
            return None
        seconds = _ALONE_SECONDS if self._live is None else _PIECE_SECONDS
        tokens = min(int(self._tokens_per_second * seconds), self._prompt_tokens)
        return max(tokens // reading.prompts, _LEAST_COLUMNS)

    def _share(self, reading: Reading) -> None:
        """Let those who came meanwhile with a prompt that has been read have it, too."""
        with self._guard:
            for row in self._waiting[:]:
                if self._has_room([*reading.rows, row]) and reading.share(row):
                    self._waiting.remove(row)

    def _accept(self, live: Live, logits: torch.Tensor) -> None:
        self.most_at_once = max(self.most_at_once, len(live.rows))
        for row, token in zip(live.rows, choose(logits, live.rows), strict=True):
            row.accept(token)

    def _answer_next(self) -> None:
        """Answer one row through ``generate``, which knows how each kind of model goes on."""
        with self._guard:
            row = self._waiting[0] if self._waiting else None
        if row is None:
            return
        self._activate(row.adapter)
        self.tokens_read += len(row.ids)
        self.most_at_once = 1
        ids = torch.tensor([row.ids], device=self._network.device)
        with self._network.watching([row]):
            self._network.model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                generation_config=hf.GenerationConfig(
                    max_new_tokens=row.most - row.generated, do_sample=False, pad_token_id=0
                ),
                logits_processor=[_Choose(row)],
                stopping_criteria=[lambda ids, scores: torch.full((1,), row.left)],
            )

    def _fail(self, error: Exception) -> None:
        """Give all rows in the batch the error, or once, where memory ran out, a smaller batch."""
        traceback.clear_frames(error.__traceback__)  # they hold on to the memory
        working = (self._reading, self._live)
        rows = _staying([row for batch in working if batch for row in batch.rows])
        self._reading = self._live = None
        if self._network.device.startswith("cuda"):
            torch.cuda.empty_cache()
        if _ran_out_of_memory(error) and len(rows) > 1 and not any(row.retried for row in rows):
            self._most_rows = max(1, len(rows) // 2)
            for row in rows:
                row.retried = True
            with self._guard:
                self._waiting = [*rows, *self._waiting]
            return
        with self._guard:
            rows = rows or self._waiting[:1]
            self._waiting = [row for row in self._waiting if row not in rows]
        for row in rows:
            row.channel.end(self._told(error))

    def _told(self, error: Exception) -> BackendError:
        remedy = "Try a smaller model, or set WORKBENCH_DEVICE=cpu."
        if _ran_out_of_memory(error):
            remedy = "Ask for fewer tokens or with a shorter prompt, or choose a smaller model."
        told = BackendError(f"{self._name} failed: {first_sentence(error)}", remedy)
        told.__cause__ = error
        return told


class _Choose:
    """Has ``generate`` take the token that we choose, as a logits processor."""

    def __init__(self, row: Row) -> None:
        self._row = row

    def __call__(self, ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return scores that leave one token possible."""
        (token,) = choose(scores.float(), [self._row])
        self._row.accept(token)
        only = torch.full_like(scores, -torch.inf)
        only[0, token] = 0
        return only


def _staying(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that need more tokens; end the others."""
    staying = [row for row in rows if not row.left]  # asked once: a reader may go at any time
    for row in rows:
        if row not in staying:
            row.channel.end()
    return staying


def _ran_out_of_memory(error: Exception) -> bool:
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )


_batchers: weakref.WeakSet[Batcher] = weakref.WeakSet()


@atexit.register
def _stop_all() -> None:
    """End the threads: one that PyTorch runs in while Python is torn down would crash it."""
    for batcher in list(_batchers):
        batcher.stop()
