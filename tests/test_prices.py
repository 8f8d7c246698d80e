"""Prices: the user's file first, then the package's exact model, and unknown is never 0."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from workbench.backends.prices import Price, money, price_file, price_of
from workbench.errors import BadInput


def own_prices(text: str) -> None:
    price_file().parent.mkdir(parents=True, exist_ok=True)
    price_file().write_text(text, encoding="utf-8")


def test_the_cost_of_a_call_is_tokens_times_rates() -> None:
    price = Price(2.5, 10.0, "list")
    assert price.cost(1000, 500) == pytest.approx(0.0075)
    assert price.cost(0, 0) == 0


@pytest.mark.parametrize("name", ["llama-cpp/qwen2.5-coder-0.5b", "transformers/a/b", "retrieval"])
def test_what_answers_here_costs_nothing_and_says_so(name) -> None:
    assert price_of(name) == Price(0.0, 0.0, "this machine")


@pytest.mark.parametrize(
    "name",
    [
        "openai-compatible/qwen@http://localhost:8000/v1",
        "ollama/qwen2.5-coder",
        "openai/no-such-model",
        "openai/gpt-4o-nonsense",
        "google/gemma-3",  # the package knows the model, and no price of it
        "somebody/else",
        "openai",
    ],
)
def test_an_unknown_price_is_none(name) -> None:
    assert price_of(name) is None


# The package's own data: what its page of the provider says. A newer package may say otherwise,
# and then these names say which model's price was taken.
@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("openai/gpt-4o", "openai/gpt-4o"),
        ("openai/GPT-4o", "openai/gpt-4o"),
        ("openai/gpt-4o-2024-08-06", "openai/gpt-4o"),
        ("openai/gpt-4o-mini", "openai/gpt-4o-mini"),
        ("anthropic/claude-sonnet-4-5", "anthropic/claude-sonnet-4-5"),
        ("anthropic/claude-sonnet-4-5-20250929", "anthropic/claude-sonnet-4-5"),
        ("anthropic/claude-sonnet-4-20250514", "anthropic/claude-sonnet-4-0"),
        ("google/gemini-2.5-pro", "google/gemini-2.5-pro"),
        ("google/models/gemini-2.0-flash-001", "google/gemini-2.0-flash"),
        ("mistral/codestral-latest", "mistral/codestral"),
        ("cohere/command-a-03-2025", "cohere/command-a"),
    ],
)
def test_the_package_knows_the_model_and_the_source_says_which(name, model) -> None:
    price = price_of(name)
    assert price is not None
    assert 0 < price.input <= price.output
    assert model in price.source.split()[-1] or f"{model}," in price.source
    assert price.date.startswith("version 0.")


@pytest.mark.parametrize(
    "name",
    [
        "anthropic/claude-opus-4-10",  # begins as claude-opus-4-1
        "anthropic/claude-3-opus-tuned-by-me",
        "google/my-gemini-1.5-flash",  # contains a name
        "google/gemini-1.5-flash-8b",  # a smaller and cheaper one than gemini-1.5-flash
        "google/gemini-2.5-pro-something",
        "openai/ft:gpt-4o-2024-08-06:me",
        "openai/gpt-3.5-turbo-instruct-next",
    ],
)
def test_a_name_that_only_resembles_a_model_gets_no_price(name) -> None:
    from genai_prices.data_snapshot import get_snapshot

    provider, _, model = name.partition("/")
    assert price_of(name) is None
    if "my-" not in name:
        get_snapshot().find_provider_model(model, None, provider, None)  # which it would get there


def test_of_tiers_the_plain_rate_is_taken_and_told() -> None:
    from genai_prices import Usage, calc_price

    price = price_of("google/gemini-2.5-pro")
    assert price is not None
    assert "dearer above 200,000 tokens" in price.source
    known = calc_price(
        Usage(input_tokens=1000, output_tokens=100),
        "gemini-2.5-pro",
        provider_id="google",
        genai_request_timestamp=datetime.now(UTC),
    )
    assert price.cost(1000, 100) == pytest.approx(float(known.total_price))


def test_asking_for_a_price_starts_no_updater() -> None:
    code = (
        "import threading; from workbench.backends.prices import price_of;"
        "assert price_of('openai/gpt-4o') is not None;"
        "assert threading.active_count() == 1, threading.enumerate()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# --- the user's file -------------------------------------------------------------------

FILE = """
date = 2026-11-01

["openai/gpt-4o"]
input = 1
output = 2.5

["openai-compatible/*@http://gpu:8000/*"]
input = 0
output = 0.4
date = 2026-10-01

["openai-compatible/*"]
input = 7
output = 7
"""


@pytest.mark.parametrize(
    ("name", "input_rate", "output_rate", "date"),
    [
        ("openai/gpt-4o", 1, 2.5, "2026-11-01"),
        ("openai-compatible/qwen@http://gpu:8000/v1", 0, 0.4, "2026-10-01"),
        ("openai-compatible/qwen@http://cpu:8000/v1", 7, 7, "2026-11-01"),
    ],
)
def test_the_users_file_wins_and_the_first_pattern_that_fits(
    name, input_rate, output_rate, date
) -> None:
    own_prices(FILE)
    price = price_of(name)
    assert price is not None
    assert (price.input, price.output, price.date) == (input_rate, output_rate, date)
    assert price.source.startswith("prices.toml: ")


def test_what_the_file_does_not_name_keeps_its_price() -> None:
    own_prices(FILE)
    price = price_of("openai/gpt-4o-mini")
    assert price is not None
    assert "genai-prices" in price.source


def test_a_name_comes_before_a_pattern_that_stands_above_it() -> None:
    own_prices('["openai/*"]\ninput=9\noutput=9\n["openai/x"]\ninput=1\noutput=1\n')
    price = price_of("openai/x")
    assert price is not None
    assert price.input == 1


def test_a_chosen_file_that_is_not_there_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WORKBENCH_PRICES", str(tmp_path / "mine.toml"))
    with pytest.raises(BadInput, match="does not exist"):
        price_of("openai/gpt-4o")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('["openai/x"]\ninput = 1\noutput = \n', 3),
        ('date = 2026-01-01\n\n["openai/x"]\ninput = 1\n', 3),
        ('["openai/x"]\ninput = "1"\noutput = 1\n', 1),
        ('["openai/x"]\ninput = -1\noutput = 1\n', 1),
        ('["openai/x"]\ninput = nan\noutput = 1\n', 1),
        ('["openai/x"]\ninput = true\noutput = 1\n', 1),
        ('# openai\n["openai/x"]\ninput = 1\noutput = 1\ncurrency = "EUR"\n', 2),
        ("\nopenai = 1\n", 2),
    ],
)
def test_a_malformed_file_names_the_line(text, line) -> None:
    own_prices(text)
    with pytest.raises(BadInput, match=f"at line {line}"):
        price_of("openai/y")


@pytest.mark.parametrize(
    ("usd", "shown"), [(None, "unknown"), (0.0, "0 USD"), (0.025, "0.025 USD"), (1234.5, "1,234")]
)
def test_money_has_two_digits_that_count(usd, shown) -> None:
    assert money(usd).startswith(shown)
