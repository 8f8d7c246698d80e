"""What an answer took: tokens, seconds, money; summed over all calls that it was made by."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from workbench.metrics.mean import CannotJudge, Judge, Mean, library
from workbench.types import Answer, Completion, Example

_Amount = Callable[[Completion], float | None]


def tokens(*, count: str = "all") -> Mean:
    """Make the tokens read and written; with ``count`` "input" or "output" those alone."""
    amounts: dict[str, _Amount] = {
        "all": _all_tokens,
        "input": lambda call: call.input_tokens,
        "output": lambda call: call.output_tokens,
    }
    return _spending("tokens", f"|count:{count}", partial(_total, amounts[count], "tokens"))


def seconds() -> Mean:
    """Make the seconds of the calls, one after another; without search or loading a model.

    Those of a completion from the cache are what it took when it was made.
    """
    return _spending("seconds", "", partial(_total, lambda call: call.seconds, "seconds"))


def cost() -> Mean:
    """Make the price of the calls in USD, whether paid now or when the cache was filled."""
    return _spending("cost", "|unit:USD", partial(_total, lambda call: call.cost, "price"))


def _spending(name: str, settings: str, judge: Judge) -> Mean:
    return Mean(
        name, f"{name}{settings}|{library('code-workbench')}", judge, higher_is_better=False
    )


def _total(amount: _Amount, what: str, answer: Answer, _: Example) -> tuple[float, str]:
    if not answer.steps:
        raise CannotJudge("no call is on record")
    amounts = [amount(step.completion) for step in answer.steps]
    known = [one for one in amounts if one is not None]
    if len(known) < len(amounts):
        raise CannotJudge(f"a call does not tell its {what}")
    return float(sum(known)), "" if len(known) == 1 else f"{len(known)} calls"


def _all_tokens(call: Completion) -> float | None:
    if call.input_tokens is None or call.output_tokens is None:
        return None
    return call.input_tokens + call.output_tokens
