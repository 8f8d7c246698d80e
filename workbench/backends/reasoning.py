"""Tell what a model thinks from what it answers: ``<think>...</think>`` before the answer."""

from __future__ import annotations

OPENING, CLOSING = "<think>", "</think>"


class ThinkSplitter:
    """Splits a stream of text, cut into pieces anywhere, into thoughts and answer.

    Thoughts stand at the beginning of an answer, after white space at most: a model that writes
    about the tags later on, as in code, means its answer. ``thinking`` says that the prompt has
    opened the thoughts already, as the templates of Qwen3 and DeepSeek-R1 do. The tags, and the
    line breaks right after them, belong to neither.
    """

    def __init__(self, *, thinking: bool = False) -> None:
        self._held = ""
        self._state = "thoughts" if thinking else "start"
        self._at_break = thinking

    def feed(self, text: str) -> list[tuple[str, bool]]:
        """Return what may be shown so far as (text, is a thought), in order.

        What may yet turn out to be a tag is held back.
        """
        self._held += text
        shown: list[tuple[str, bool]] = []
        if self._state == "start":
            self._begin()
        if self._state == "thoughts":
            self._think(shown)
        if self._state == "answer":
            self._show(self._held, False, shown)
            self._held = ""
        return shown

    def rest(self) -> list[tuple[str, bool]]:
        """Return what was held back, once nothing more can come."""
        shown: list[tuple[str, bool]] = []
        self._show(self._held, self._state == "thoughts", shown)
        self._held = ""
        return shown

    def _begin(self) -> None:
        """Leave the start as soon as it is plain whether thoughts come first."""
        begun = self._held.lstrip()
        if begun.startswith(OPENING):
            self._held = begun.removeprefix(OPENING)
            self._state, self._at_break = "thoughts", True
        elif not OPENING.startswith(begun):
            self._state = "answer"

    def _think(self, shown: list[tuple[str, bool]]) -> None:
        thoughts, found, answer = self._held.partition(CLOSING)
        if found:
            self._show(thoughts, True, shown)
            self._held = answer
            self._state, self._at_break = "answer", True
            return
        tag = self._held.rfind(CLOSING[0])
        cut = tag if tag >= 0 and CLOSING.startswith(self._held[tag:]) else len(self._held)
        self._show(self._held[:cut], True, shown)
        self._held = self._held[cut:]

    def _show(self, text: str, thought: bool, shown: list[tuple[str, bool]]) -> None:
        if self._at_break:
            text = text.lstrip("\r\n")
        if text:
            self._at_break = False
            shown.append((text, thought))


def opens_thoughts(prompt: str) -> bool:
    """Say whether a prompt ends with thoughts opened, so that the model goes on thinking."""
    return prompt.rstrip().endswith(OPENING)
