"""Money is reserved before a call and settled after it: no number of workers overspends."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from test_limits import FAST, PARAMS, PROMPT, Scripted, ask, busy, patient

from workbench.backends.budget import Budget, most_input_tokens
from workbench.backends.guarded import guarded
from workbench.backends.limits import Limits
from workbench.cancel import cancelled_by
from workbench.errors import BackendError, BadInput, DeadlineExceeded, MissingKey, OverBudget
from workbench.types import Message, Prompt, Token


@dataclass(frozen=True)
class Price:
    """A dollar a token in, ten a token out, so that costs can be read."""

    def cost(self, input_tokens: int, output_tokens: int) -> float:
        return float(input_tokens + 10 * output_tokens)


__all__ = ["patient"]  # a fixture

# PROMPT has 7 bytes and one message, PARAMS 8 tokens; Scripted says 5 tokens in and 2 out.
INPUT, MOST, ACTUAL = 7 + 16.0, 7 + 16 + 80.0, 25.0


# --- the budget itself -----------------------------------------------------------------


def test_what_is_reserved_is_settled_by_what_it_cost():
    budget = Budget(10)
    reservation = budget.reserve(4)
    assert (budget.spent, budget.reserved, budget.left) == (0, 4, 6)
    reservation.settle(1.5)
    assert (budget.spent, budget.reserved, budget.left) == (1.5, 0, 8.5)


def test_what_is_released_costs_nothing():
    budget = Budget(10)
    budget.reserve(4).release()
    assert (budget.spent, budget.reserved, budget.left) == (0, 0, 10)


def test_a_reservation_ends_once():
    budget = Budget(10)
    reservation = budget.reserve(4)
    reservation.settle(1)
    reservation.settle(1)
    reservation.release()
    assert (budget.spent, budget.reserved) == (1, 0)


def test_a_call_that_does_not_fit_is_told_what_is_spent_reserved_and_left():
    budget = Budget(10)
    budget.reserve(3).settle(2)
    budget.reserve(5)
    with pytest.raises(OverBudget) as raised:
        budget.reserve(3.5)
    assert str(raised.value).startswith(
        "The call may cost 3.50 USD, and of the budget of 10.00 USD 2.00 USD are spent, 5.00 USD"
        " reserved by calls under way and 3.00 USD left."
    )
    assert "--budget" in raised.value.remedy
    assert not raised.value.transient


def test_small_amounts_are_not_told_as_nothing():
    with pytest.raises(OverBudget, match=r"may cost 0\.000012 USD.*budget of 0\.00 USD"):
        Budget(0).reserve(0.000012)


def test_the_whole_budget_can_be_spent_in_parts_that_no_float_adds_up():
    budget = Budget(0.3)
    for _ in range(3):
        budget.reserve(0.1).settle(0.1)
    assert budget.left == 0
    with pytest.raises(OverBudget):
        budget.reserve(1e-9)


def test_what_costs_more_than_was_reserved_is_spent_and_nothing_is_left():
    budget = Budget(1)
    budget.reserve(1).settle(1.5)
    assert (budget.spent, budget.left) == (1.5, 0)


def test_sixteen_workers_never_spend_more_than_the_budget_together():
    budget = Budget(5)
    over = threading.Event()

    def work(seed: int) -> int:
        draw = random.Random(seed)
        made = 0
        for _ in range(200):
            most = draw.uniform(0, 0.05)
            try:
                reservation = budget.reserve(most)
            except OverBudget:
                continue
            if budget.spent + budget.reserved > 5 + 1e-9:
                over.set()
            made += 1
            if draw.random() < 0.2:
                reservation.release()
            else:
                reservation.settle(most * draw.random())
        return made

    with ThreadPoolExecutor(16) as pool:
        made = sum(pool.map(work, range(16)))
    assert not over.is_set() and budget.reserved == 0
    assert 4.9 < budget.spent <= 5 and made < 3200


def test_half_a_character_is_refused_before_any_backend_is_asked():
    for local in (False, True):
        backend = Scripted(["x"], local=local)
        half = Prompt((Message("user", "\ud83d"),), "test")
        with pytest.raises(BadInput, match="half a character"):
            list(guarded(backend, limits=FAST).stream(half, PARAMS))
        assert not backend.times


@pytest.mark.models
@pytest.mark.parametrize("model", ["qwen2.5-coder-0.5b", "smollm2-135m"])
def test_real_tokenizers_count_less_than_the_bound(models_home, model):
    from workbench.backends import load_backend, unload_all

    backend = load_backend(f"llama-cpp/{model}")
    hard = "🙂\u202e数\x00\t<|im_start|>\u017f\u0301" * 20
    for content in ("", "x", hard, "    " * 50):
        messages = [Message("system", content), Message("user", content)]
        assert backend.count_tokens(messages) <= most_input_tokens(messages)
    unload_all()


# --- a guarded backend -----------------------------------------------------------------


def spend(*calls, usd: float = 1000, limits: Limits = FAST) -> Budget:
    """Ask once, let it fail, and return the budget as it is then."""
    budget = Budget(usd)
    with contextlib.suppress(BackendError, MissingKey, BadInput):
        ask(Scripted(*calls), limits, budget=budget, price=Price())
    assert budget.reserved == 0
    return budget


def test_a_completion_tells_its_cost_and_the_budget_is_settled_by_it():
    budget = Budget(MOST)
    assert ask(Scripted(["x"]), budget=budget, price=Price()).cost == ACTUAL
    assert (budget.spent, budget.reserved) == (ACTUAL, 0)


def test_a_call_reserves_the_most_that_it_may_cost_and_is_not_made_where_it_does_not_fit():
    backend = Scripted(["x"])
    budget = Budget(MOST - 0.01)
    with pytest.raises(OverBudget, match=r"may cost 103\.00 USD"):
        ask(backend, budget=budget, price=Price())
    assert not backend.times and budget.left == MOST - 0.01


def test_an_unknown_price_shows_no_cost_and_is_refused_within_a_budget(home):
    assert ask(Scripted(["x"])).cost is None
    backend = Scripted(["x"])
    with pytest.raises(OverBudget, match=r"price of .* is unknown.*prices\.toml"):
        ask(backend, budget=Budget(1000))
    assert not backend.times


def test_a_local_backend_costs_nothing_and_needs_no_price():
    budget = Budget(0)
    assert ask(Scripted(["x"], local=True), budget=budget).cost == 0.0
    assert budget.spent == 0


@pytest.mark.parametrize(
    "error",
    [BackendError("No.", status=400), MissingKey("No."), BadInput("No."), busy(429), busy(503)],
)
def test_what_a_server_refused_costs_nothing(error):
    assert spend([error]).spent == 0


def test_a_connection_that_failed_keeps_the_price_of_its_prompt_each_time():
    assert spend([busy(None)], limits=Limits(attempts=1)).spent == INPUT
    assert spend([busy(None)], ["x"]).spent == INPUT + ACTUAL


@pytest.mark.parametrize("steps", [["half", busy(None)], ["half", busy(503)], [9.0], ["x", 9.0]])
def test_an_answer_under_way_keeps_the_most_it_may_have_cost(steps):
    class Mute(Scripted):
        def stream(self, prompt, params):
            for part in super().stream(prompt, params):
                if isinstance(part, Token):  # no last word, so no counts
                    yield part

    budget = Budget(1000)
    with pytest.raises(BackendError):
        ask(Mute(steps), Limits(call_timeout=0.2), budget=budget, price=Price())
    assert (budget.spent, budget.reserved) == (MOST, 0)


@pytest.mark.usefixtures("patient")
def test_counts_from_the_middle_of_an_answer_are_not_taken_for_its_cost():
    # 5 tokens in, as the backend said; 80 dollars for 8 tokens out, though it had counted 2 so far.
    budget = Budget(1000)
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    with cancelled_by(stop):
        completion = ask(Scripted(["half", 9.0]), budget=budget, price=Price())
    assert (completion.input_tokens, completion.cost) == (5, None)
    assert (budget.spent, budget.reserved) == (85, 0)
    with pytest.raises(DeadlineExceeded) as raised:
        ask(Scripted(["half", 9.0]), Limits(0.6), budget=budget, price=Price())
    assert raised.value.partial.cost is None and budget.spent == 2 * 85


def test_a_closed_stream_keeps_the_most_it_may_have_cost():
    budget = Budget(1000)
    parts = guarded(Scripted(["x", 9.0]), limits=FAST, budget=budget, price=Price()).stream(
        PROMPT, PARAMS
    )
    next(parts)
    assert budget.reserved == MOST
    parts.close()
    assert (budget.spent, budget.reserved) == (MOST, 0)


def test_an_answer_without_counts_has_no_known_cost_and_keeps_the_most():
    class Countless(Scripted):
        def stream(self, prompt, params):
            from workbench.backends.streaming import Transcript

            transcript = Transcript(self.name)
            yield transcript.token("x")
            yield transcript.completion("stop")

    budget = Budget(1000)
    assert ask(Countless(), budget=budget, price=Price()).cost is None
    assert budget.spent == MOST


def test_the_money_is_settled_before_the_completion_is_read():
    budget = Budget(1000)
    parts = guarded(Scripted(["x"]), limits=FAST, budget=budget, price=Price()).stream(
        PROMPT, PARAMS
    )
    for part in parts:
        if not isinstance(part, Token):
            assert (budget.spent, budget.reserved) == (ACTUAL, 0)


def test_a_call_that_is_over_the_budget_holds_nobody_up():
    name = "over-budget/model"
    limits = Limits(call_timeout=20, concurrency=1)
    for _ in range(2):
        with pytest.raises(OverBudget):
            ask(Scripted(["x"], name=name), limits, budget=Budget(0), price=Price())
    assert ask(Scripted(["x"], name=name), limits).text == "x"


def test_sixteen_workers_on_one_backend_spend_the_budget_and_no_more():
    backend = Scripted(["x", 0.01, "y"])
    budget = Budget(MOST + 20 * ACTUAL)
    within = guarded(backend, limits=Limits(), budget=budget, price=Price())
    seen: list[float] = []

    def work(_: int) -> None:
        while True:
            try:
                list(within.stream(PROMPT, PARAMS))
            except OverBudget:
                if budget.reserved == 0:  # nobody can give anything back any more
                    return
                time.sleep(0.01)
            seen.append(budget.spent + budget.reserved)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(16)))
    assert max(seen) <= budget.usd
    assert len(backend.times) == 21 and budget.spent == 21 * ACTUAL
