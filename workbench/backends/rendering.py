"""A prompt as a local model reads it: what its chat template made of the messages."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from workbench.backends.reasoning import opens_thoughts
from workbench.types import Message

# How the control tokens of chat models are written: <|im_end|>, </s>, [INST], <end_of_turn>.
_LOOKS_LIKE = re.compile(
    r"<[|\uff5c][^|\uff5c<>\s]{1,40}[|\uff5c]>|</?s>|\[/?[A-Z_]{3,20}\]|<\w+_of_\w+>"
)

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


def control_notes(
    messages: Sequence[Message], is_control: Callable[[str], bool]
) -> tuple[str, ...]:
    """Say which words of the messages the model reads as control tokens; () for none.

    Templates write messages as they are, so that such a word in a user's text may end a turn.
    ``is_control`` says whether a word that looks like one is one of this model.
    """
    found = dict.fromkeys(word for one in messages for word in _LOOKS_LIKE.findall(one.content))
    words = [word for word in found if is_control(word)]
    if not words:
        return ()
    return (f"The messages hold what this model reads as control tokens: {' '.join(words)}",)


def fold_system(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Put all system texts before the first user turn, or into one of their own."""
    system = "\n\n".join(one.content for one in messages if one.role == "system")
    others = [one for one in messages if one.role != "system"]
    for place, one in enumerate(others):
        if one.role == "user":
            others[place] = replace(one, content=f"{system}\n\n{one.content}")
            return tuple(others)
    return (Message("user", system), *others)
