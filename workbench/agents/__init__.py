"""How a backend is used to answer a question."""

from __future__ import annotations

from workbench.agents.direct import Direct

__all__ = ["Direct"]
