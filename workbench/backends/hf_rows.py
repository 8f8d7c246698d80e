"""One request on its way through the model: its tokens, its text, its own dice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from tokenizers.decoders import DecodeStream
from transformers import TemperatureLogitsWarper, TopPLogitsWarper

from workbench.backends.reasoning import ThinkSplitter
from workbench.backends.streaming import Channel, StopStrings
from workbench.types import FinishReason, SamplingParams, Token


class Row:
    """A request: ``ids`` begin with the prompt and grow by what is generated.

    ``most`` is how many new tokens it may have. Stop strings are looked for in the answer alone:
    one that ended the thoughts would leave the question without any answer.
    """

    def __init__(
        self,
        ids: Sequence[int],
        params: SamplingParams,
        *,
        most: int,
        ends: frozenset[int],
        tokenizer: Any,
        adapter: str | None = None,
        thinking: bool = False,
    ) -> None:
        self.ids = list(ids)
        self.params = params
        self.most = most
        self.adapter = adapter
        self.channel: Channel[Token] = Channel()
        self.generated = 0
        self.finish: FinishReason = "stop"
        self.retried = False
        self._done = False
        self._ends = ends
        self._tokenizer = tokenizer.backend_tokenizer
        self._decoder = DecodeStream(skip_special_tokens=True)
        self._thoughts = ThinkSplitter(thinking=thinking)
        self._stops = StopStrings(params.stop)
        self._dice: torch.Generator | None = None

    @property
    def left(self) -> bool:
        """Whether it needs no more tokens: its answer is complete, or nobody waits for it."""
        return self._done or self.channel.stopped

    @property
    def length(self) -> int:
        """The tokens that it may come to in the end."""
        return len(self.ids) - self.generated + self.most

    def accept(self, token: int) -> None:
        """Take the next token, and send what text it makes."""
        self.ids.append(token)
        self.generated += 1
        if token in self._ends:
            self._finish("stop")
            return
        for text, thought in self._thoughts.feed(self._decoder.step(self._tokenizer, token) or ""):
            self._send(text, thought)
        if self._stops.found:
            self._finish("stop")
        elif self.generated >= self.most:
            self._finish("length")

    def dice(self, device: Any) -> torch.Generator:
        """Return its own generator, so that a seed repeats whatever else is in the batch."""
        if self._dice is None:
            self._dice = torch.Generator(device)
            if self.params.seed is None:
                self._dice.seed()
            else:
                self._dice.manual_seed(self.params.seed % 2**63)
        return self._dice

    def _send(self, text: str, thought: bool) -> None:
        if not thought:
            text = "" if self._stops.found else self._stops.feed(text)
        if text:
            self.channel.send(Token(text, thought))

    def _finish(self, reason: FinishReason) -> None:
        for text, thought in self._thoughts.rest():
            self._send(text, thought)
        if rest := self._stops.rest():
            self.channel.send(Token(rest))
        self.finish = "stop" if self._stops.found else reason
        self._done = True


def choose(logits: torch.Tensor, rows: Sequence[Row]) -> list[int]:
    """Choose the next token of each row from float[rows, vocabulary].

    Temperature 0 takes the likeliest. Else temperature and top_p are applied by the warpers of
    transformers, in the order in which ``generate`` applies them.
    """
    chosen = logits.argmax(dim=-1)
    alike: dict[tuple[float, float], list[int]] = {}
    for place, row in enumerate(rows):
        if row.params.temperature > 0:
            alike.setdefault((row.params.temperature, row.params.top_p), []).append(place)
    unused: Any = None  # the warpers look at no tokens
    for (temperature, top_p), places in alike.items():
        # Shifted to a maximum of 0, which changes no chance and bears the smallest temperature.
        scores = logits[places] - logits[places].amax(dim=-1, keepdim=True)
        scores = TemperatureLogitsWarper(float(temperature))(unused, scores)
        if top_p < 1:
            scores = TopPLogitsWarper(max(float(top_p), 0.0))(unused, scores)
        for place, chances in zip(places, scores.softmax(dim=-1), strict=True):
            dice = rows[place].dice(logits.device)
            chosen[place] = torch.multinomial(chances, 1, generator=dice)[0]
    return [int(token) for token in chosen.tolist()]
