"""One progress bar for the terminal, the notebook and the UI, and none beside it."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from workbench.cancel import cancelled
from workbench.errors import Cancelled
from workbench.settings import settings

if TYPE_CHECKING:
    from tqdm import tqdm

    # Done, of how many (None: nobody knows), what is done, and in which unit.
    Listener = Callable[[float, float | None, str, str], None]

_listener: ContextVar[Listener | None] = ContextVar("workbench_progress", default=None)


def bar(
    iterable: Any = None, *, total: float | None = None, desc: str, unit: str, **options: Any
) -> tqdm[Any]:
    """Return a tqdm bar with rate and estimate that shows itself after a second of work.

    It is silent where nobody watches (stderr is no terminal and this is no notebook), and tells
    the listener of ``heard_by`` where there is one. ``unit="B"`` counts bytes in powers of 1024.
    """
    from tqdm.auto import tqdm

    listener = _listener.get()
    if listener is not None:
        return _heard(iterable, listener, total=total, desc=desc, unit=unit, **options)
    if unit == "B":
        options = {"unit_scale": True, "unit_divisor": 1024, **options}
    quiet = None if "ipykernel" not in sys.modules else False
    return tqdm(
        iterable, total=total, desc=desc, unit=unit, delay=1, disable=quiet, leave=False, **options
    )


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """Within the block, and in this thread, tell ``listener`` how far the bars are.

    A bar that is heard is also where long work ends that nobody waits for: moving it raises
    Cancelled once the thread is ``cancelled()``.

    Gradio's own tracking of tqdm cannot be used: it replaces ``tqdm.__iter__``, and of two bars
    that run at once, one inside a generator that the other reads, it hands out the wrong items.
    """
    before = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(before)


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Show no bars and no warnings of transformers' own within the block, unless one debugs."""
    import transformers

    log: Any = transformers.utils.logging  # typed in parts only
    level, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    if not settings().debug:
        log.set_verbosity_error()
        log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(level)
        if bars:
            log.enable_progress_bar()


def _heard(iterable: Any, listener: Listener, **options: Any) -> tqdm[Any]:
    from tqdm import tqdm

    class Heard(tqdm):  # type: ignore[type-arg]  # it cannot be subscripted when run
        """Draws nothing; says where it would draw."""

        def update(self, n: float | None = 1) -> bool | None:
            if cancelled():
                raise Cancelled(f"{self.desc.removesuffix(': ')} was stopped.", "Nothing is lost.")
            return super().update(n)

        def display(self, msg: str | None = None, pos: int | None = None) -> None:
            if msg is None:  # a text is drawn at the end only, to wipe the bar out
                listener(self.n, self.total, self.desc.removesuffix(": "), self.unit)

    # At every move: tqdm keeps back those that come fast, and nobody would be told of the last ones
    # before long work that is silent.
    options = {"mininterval": 0, "miniters": 0, **options, "file": io.StringIO(), "leave": False}
    return Heard(iterable, **options)
