"""An amount of money that calls reserve before they are made, so that no number of them overspends.

What a call may cost at most is known before: a token is at least one byte of UTF-8 in every
tokenizer that falls back to bytes, chat templates add a few tokens a message, and ``max_tokens``
bounds the answer, thoughts included.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from workbench.errors import BadInput, OverBudget
from workbench.types import Message

# Whole millionths of a millionth of a dollar add up exactly, which floats do not. The cheapest
# token of any price list costs thousands of them.
_UNITS = 10**12
_TOKENS_A_MESSAGE = 16


class Price(Protocol):
    """What a model's tokens cost."""

    def cost(self, input_tokens: int, output_tokens: int) -> float:
        """Return what a call costs, in USD."""


def most_input_tokens(messages: Sequence[Message]) -> int:
    """Return more tokens than the messages can have, whatever the tokenizer.

    Raises:
        BadInput: a text cannot be written as UTF-8, so that no backend can be sent it.
    """
    try:
        return sum(len(one.content.encode()) + _TOKENS_A_MESSAGE for one in messages)
    except UnicodeEncodeError:
        raise BadInput(
            "The prompt holds half a character (a lone surrogate).",
            "Take it out, or read its file as UTF-8.",
        ) from None


class Budget:
    """So many USD, from which any number of threads may reserve and spend."""

    def __init__(self, usd: float) -> None:
        self.usd = usd
        self._lock = threading.Lock()
        self._total = _units(usd)
        self._spent = self._reserved = 0

    @property
    def spent(self) -> float:
        """USD that calls have cost; of a call that did not say what it took, the most it may."""
        return self._spent / _UNITS

    @property
    def reserved(self) -> float:
        """USD that calls which are under way may cost at most."""
        return self._reserved / _UNITS

    @property
    def left(self) -> float:
        """USD that calls may still reserve."""
        with self._lock:
            return max(0, self._total - self._spent - self._reserved) / _UNITS

    def reserve(self, most: float) -> Reservation:
        """Set aside the USD that a call may cost at most, before it is made.

        Raises:
            OverBudget: so much is not left. What is reserved for other calls may come free.
        """
        units = _units(most)
        with self._lock:
            left = self._total - self._spent - self._reserved
            if units > left:
                raise OverBudget(
                    f"The call may cost {_usd(most)}, and of the budget of {_usd(self.usd)}"
                    f" {_usd(self._spent / _UNITS)} are spent, {_usd(self._reserved / _UNITS)}"
                    f" reserved by calls under way and {_usd(max(0, left) / _UNITS)} left.",
                    "Raise the budget (--budget, WORKBENCH_BUDGET), or lower max_tokens.",
                )
            self._reserved += units
        return Reservation(self, units)

    def _end(self, reservation: Reservation, actual: int) -> None:
        with self._lock:
            if not reservation.ended:
                reservation.ended = True
                self._reserved -= reservation.units
                self._spent += actual


@dataclass(slots=True, eq=False)
class Reservation:
    """What one call has set aside. It is settled or released once; what comes after is ignored."""

    budget: Budget
    units: int
    ended: bool = False

    def settle(self, actual: float) -> None:
        """Spend the USD that the call did cost, and give the rest back.

        More than was reserved is spent, too, as it is owed: then a server did not heed max_tokens.
        """
        self.budget._end(self, _units(actual))

    def release(self) -> None:
        """Give all back: the call cost nothing."""
        self.budget._end(self, 0)


def _units(usd: float) -> int:
    return math.ceil(round(usd * _UNITS, 3))


def _usd(amount: float) -> str:
    """Write an amount with as many digits as small ones need: 0.50 USD, 0.000012 USD."""
    digits = 2 if amount == 0 or amount >= 1 else max(2, 1 - math.floor(math.log10(amount)))
    return f"{amount:,.{digits}f} USD"
