"""Messages to tokens, through the model's own chat template, with a note of all that it changed."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from typing import Any

from workbench.backends.reasoning import OPENING
from workbench.backends.rendering import FOLDED, Rendered, control_notes, fold_system
from workbench.errors import BackendError
from workbench.keys import public
from workbench.types import Message

UNTEMPLATED = "The model has no chat template: the messages were joined by blank lines."

_PROBE = "a text that nobody writes by chance: 7f3a"


class Chat:
    """The tokenizer of one model, and its chat template."""

    def __init__(self, tokenizer: Any, name: str) -> None:
        self.tokenizer = tokenizer
        self._name = name

    @functools.cached_property
    def system_role(self) -> bool:
        """Whether a system message comes through the template: some refuse it, some drop it."""
        if not self.tokenizer.chat_template:
            return True
        try:
            return _PROBE in self._apply((Message("system", _PROBE), Message("user", "Hello.")))
        except BackendError:
            return False

    @functools.cached_property
    def reasoning(self) -> bool:
        """Whether the model has been taught to think before it answers, as far as can be seen."""
        templates = str(self.tokenizer.chat_template or "")
        return OPENING in templates or OPENING in self.tokenizer.get_vocab()

    @functools.cached_property
    def identity(self) -> str:
        """Name the template by its hash."""
        template = str(self.tokenizer.chat_template or "")
        return f"template={hashlib.sha256(template.encode()).hexdigest()[:12]}"

    def render(self, messages: Sequence[Message]) -> Rendered:
        """Write the messages as the model was trained to read them.

        Raises:
            BackendError: the template refuses them.
        """
        if not self.tokenizer.chat_template:
            text = "\n\n".join(one.content for one in messages)
            ids = self.tokenizer(text)["input_ids"]
            begin = self.tokenizer.bos_token
            if ids and begin and ids[0] == self.tokenizer.bos_token_id:
                text = begin + text
            return Rendered(tuple(messages), text, tuple(ids), (UNTEMPLATED,))
        sent, notes = tuple(messages), tuple[str, ...]()
        if any(one.role == "system" for one in sent) and not self.system_role:
            sent, notes = fold_system(sent), (FOLDED,)
        notes += control_notes(sent, self._is_control)
        text = self._apply(sent)
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return Rendered(sent, text, tuple(ids), notes)

    def _is_control(self, word: str) -> bool:
        return word in self.tokenizer.all_special_tokens

    def _apply(self, messages: Sequence[Message]) -> str:
        turns = [{"role": one.role, "content": one.content} for one in messages]
        try:
            return str(
                self.tokenizer.apply_chat_template(
                    turns, tokenize=False, add_generation_prompt=True
                )
            )
        except Exception as error:  # a template is a program, and says no in its own words
            raise BackendError(
                f"The chat template of {self._name} refuses the messages: {public(str(error))}.",
                "Begin with a user's turn, and let user and assistant take turns.",
            ) from error
