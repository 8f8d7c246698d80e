"""The three jobs: generate, summarize and translate code."""

from __future__ import annotations

from workbench.registry import Registry
from workbench.types import Task

TASKS = Registry("task")
TASKS.add("generate", "workbench.tasks.generate:Generate", "Write code from a request.")
TASKS.add("summarize", "workbench.tasks.summarize:Summarize", "Say in prose what code does.")
TASKS.add(
    "translate", "workbench.tasks.translate:Translate", "Carry code over into another language."
)


def load_task(name: str) -> Task:
    """Return the task called ``name``.

    Raises:
        UnknownName: no task is called so.
    """
    task: Task = TASKS.load(name)()
    return task
