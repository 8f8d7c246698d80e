"""How a backend is used to answer a question."""

from __future__ import annotations

from workbench.registry import Registry

AGENTS = Registry("agent")
AGENTS.add("direct", "workbench.agents.direct:Direct", "One prompt, one completion.")
