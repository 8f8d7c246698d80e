"""One progress bar for the terminal, the notebook and the UI (which tracks tqdm)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm


def bar(
    iterable: Any = None, *, total: float | None = None, desc: str, unit: str, **options: Any
) -> tqdm[Any]:
    """Return a tqdm bar with rate and estimate that shows itself after a second of work.

    It is silent where nobody watches (stderr is no terminal and this is no notebook).
    ``unit="B"`` counts bytes in powers of 1024.
    """
    from tqdm.auto import tqdm

    if unit == "B":
        options = {"unit_scale": True, "unit_divisor": 1024, **options}
    quiet = None if "ipykernel" not in sys.modules else False
    return tqdm(
        iterable, total=total, desc=desc, unit=unit, delay=1, disable=quiet, leave=False, **options
    )
