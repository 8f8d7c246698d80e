"""A prompt as a local model reads it: what its chat template made of the messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from workbench.backends.reasoning import opens_thoughts
from workbench.types import Message

FOLDED = "The chat template knows no system role: the text was put before the first user turn."


@dataclass(frozen=True, slots=True)
class Rendered:
    """A prompt as the model reads it, and how it came about."""

    messages: tuple[Message, ...]
    text: str
    ids: tuple[int, ...]
    notes: tuple[str, ...]

    @property
    def thinking(self) -> bool:
        """Whether the template has opened the model's thoughts."""
        return opens_thoughts(self.text)


def fold_system(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Put all system texts before the first user turn, or into one of their own."""
    system = "\n\n".join(one.content for one in messages if one.role == "system")
    others = [one for one in messages if one.role != "system"]
    for place, one in enumerate(others):
        if one.role == "user":
            others[place] = replace(one, content=f"{system}\n\n{one.content}")
            return tuple(others)
    return (Message("user", system), *others)
