"""An API against own GPUs: the formulas against a plain search, the intervals, the words."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from workbench.backends.prices import price_of
from workbench.cli.cost import cost_app
from workbench.cost import Api, BreakEven, OwnGpu, Tokens, break_even
from workbench.cost.cases import CLASSIC, Case, worked_example
from workbench.cost.figures import cost_over_load, tornado
from workbench.errors import BadInput, UnknownName
from workbench.statistics import bootstrap_mean

PAPER = Api(usd_per_request=0.025)


def two(speed: float | None = None, utilisation: float = 1.0) -> BreakEven:
    """Return the classic case at a speed."""
    speeds = () if speed is None else (speed,)
    return break_even(PAPER, OwnGpu(4.05, 2, speeds, utilisation=utilisation))


# --- the worked example ----------------------------------------------------------------


def test_the_classic_case_crosses_at_324_requests_an_hour() -> None:
    one = two()
    assert (one.crossover.first, one.crossover.for_good) == (324.0, 324.0)
    assert one.verdict == "from"
    assert one.needed == 162
    assert "324 requests an hour" in one.sentence
    assert "8.10 / 0.025" in one.sentence


# By hand: q = 4.05 / 0.025 = 162 requests pay for a GPU. First at 2 q; for good at N q with
# N = max(2, ceil(162 / (speed - 162))).
@pytest.mark.parametrize(
    ("speed", "utilisation", "first", "for_good", "verdict"),
    [
        (400, 1.0, 324, 324, "from"),
        (400, 0.6, 324, 486, "staircase"),  # 162 / 78 = 2.1: three GPUs
        (200, 1.0, 324, 810, "staircase"),  # 162 / 38 = 4.3: five
        (162, 1.0, 324, None, "staircase"),  # only where every GPU is full
        (200, 0.8, None, None, "never"),
        (161, 1.0, None, None, "never"),
    ],
)
def test_speed_and_utilisation_move_the_crossover_or_undo_it(
    speed: float, utilisation: float, first: float, for_good: float, verdict: str
) -> None:
    one = two(speed, utilisation)
    assert (one.crossover.first, one.crossover.for_good) == (first, for_good)
    assert one.verdict == verdict


def test_two_gpus_that_serve_less_than_the_crossover_never_pay() -> None:
    one = two(150)  # 300 an hour are served before a third GPU is needed
    assert one.verdict == "never"
    assert "at least 0.027 USD" in one.sentence
    assert "0.025 USD on the API" in one.sentence
    assert "162 an hour" in one.sentence


def test_stretches_are_what_a_staircase_leaves() -> None:
    assert two(200).stretches() == [(324, 400), (486, 600), (648, 800), (810, None)]
    assert two(200).stretches(2) == [(324, 400), (486, 600)]
    assert two().stretches() == [(324, None)]
    assert two(100).stretches() == []


# --- the formulas ----------------------------------------------------------------------

amounts = st.floats(0.001, 50)


@settings(max_examples=200, deadline=None)
@given(
    price=st.floats(0.0005, 0.5),
    hourly=st.floats(0.05, 20),
    gpus=st.integers(1, 5),
    speed=st.floats(1, 5000),
    utilisation=st.floats(0.05, 1),
)
def test_crossovers_agree_with_a_plain_search(
    price: float, hourly: float, gpus: int, speed: float, utilisation: float
) -> None:
    one = break_even(
        Api(usd_per_request=price), OwnGpu(hourly, gpus, (speed,), utilisation=utilisation)
    )
    capacity = speed * utilisation
    # A GPU pays by more or less than what rounding may decide.
    if abs(hourly / price / capacity - 1) < 1e-6:
        return
    # The loads just before a GPU is added: the best there are for own GPUs.
    counts = np.arange(gpus, gpus + 3000)
    pays = price * counts * capacity >= hourly * counts
    assert pays.any() == (one.crossover.first is not None)
    if one.crossover.first is None or one.crossover.for_good is None:
        assert one.verdict == "never"
        return
    first, last = one.crossover.first, one.crossover.for_good
    for load in (first, last, last * 1.01, last * 1.7, last * 12.3):
        assert one.gpu_cost(load) <= one.api_cost(load) * (1 + 1e-6)
    for load in (first * (1 - 1e-6), first * 0.5, *_just_before(last, one)):
        assert one.gpu_cost(load) > one.api_cost(load)


def _just_before(last: float, one: BreakEven) -> list[float]:
    """Return a load between where the last GPU is added and where it pays, if there is one."""
    count, capacity = one.gpus_at(last), one.capacity
    assert capacity is not None
    begin = (count - 1) * capacity if count > one.gpu.gpus else 0.0
    return [(begin + last) / 2] if last - begin > 1e-6 * capacity else []


# GPUs that are full at exactly the load from which they pay: 1024 of them pay for good from 1024
# requests an hour, and 1023 of them until 1023.999.
@pytest.mark.parametrize(("speed", "last"), [(2.001953125, 1024), (3.0, 2), (2.5, 4)])
def test_the_last_stretch_begins_where_the_last_gpu_is_paid(speed: float, last: float) -> None:
    one = break_even(Api(usd_per_request=0.5), OwnGpu(0.5, 1, (speed,), utilisation=0.5))
    assert one.crossover.for_good == last
    for load in _just_before(last, one):
        assert one.gpu_cost(load) > one.api_cost(load)
    for load in np.linspace(last, 3 * last, 1001):
        assert one.gpu_cost(load) <= one.api_cost(load) * (1 + 1e-9)


@settings(deadline=None)
@given(
    load=st.floats(0, 1e5),
    gpus=st.integers(1, 9),
    speed=st.floats(1, 1000),
    utilisation=st.floats(0.1, 1),
)
def test_gpus_are_whole_and_serve_the_load(
    load: float, gpus: int, speed: float, utilisation: float
) -> None:
    one = break_even(PAPER, OwnGpu(1.0, gpus, (speed,), utilisation=utilisation))
    count, capacity = one.gpus_at(load), speed * utilisation
    assert count >= gpus
    assert count * capacity >= load * (1 - 1e-6)
    assert count == gpus or (count - 1) * capacity < load


def test_a_free_api_is_never_beaten_and_a_free_gpu_always_pays() -> None:
    free = break_even(Api(usd_per_request=0.0), OwnGpu(4.0))
    assert free.verdict == "never"
    assert "costs nothing" in free.sentence
    own = break_even(PAPER, OwnGpu(0.0, 2, (10.0,)))
    assert (own.verdict, own.crossover.for_good) == ("always", 0.0)
    assert "always pay" in own.sentence
    assert break_even(Api(usd_per_request=0.0), OwnGpu(0.0)).verdict == "always"


def test_a_price_by_tokens_is_that_of_the_mean_request() -> None:
    tokens = Tokens((100.0, 300.0), (50.0, 150.0))
    one = break_even(Api(input_price=2.5, output_price=10.0), OwnGpu(4.0), tokens=tokens)
    assert one.usd_per_request == pytest.approx((200 * 2.5 + 100 * 10) / 1e6)


def test_the_measured_mix_of_tokens_is_served_as_fast_as_it_was() -> None:
    # 2 requests a second of 300 tokens in and 100 out.
    gpu = OwnGpu(1.0, 1, output_tokens_per_second=(200.0,), input_tokens_per_second=(600.0,))
    same = break_even(PAPER, gpu, tokens=Tokens.typed(300, 100))
    assert same.capacity == pytest.approx(2 * 3600)
    longer = break_even(PAPER, gpu, tokens=Tokens.typed(300, 200))
    assert longer.capacity == pytest.approx(3600)  # the slower of the two is taken
    reading = break_even(PAPER, gpu, tokens=Tokens.typed(1200, 100))
    assert reading.capacity == pytest.approx(1800)


def test_a_request_takes_its_tokens_in_and_out_by_what_each_took() -> None:
    # A token in took 1 ms, one out 4 ms: a second of 200 in and 200 out.
    speed = {"output_tokens_per_second": (200.0,), "input_tokens_per_second": (200.0,)}
    gpu = OwnGpu(1.0, 1, **speed, reading_share=0.2)
    for read, written in ((200, 200), (1000, 10), (10, 1000), (0, 50)):
        one = break_even(PAPER, gpu, tokens=Tokens.typed(read, written))
        assert 3600 / one.capacity == pytest.approx(read * 0.001 + written * 0.004)
        slower = break_even(PAPER, OwnGpu(1.0, 1, **speed), tokens=Tokens.typed(read, written))
        assert slower.capacity <= one.capacity * (1 + 1e-9)
        ends = {"reading_share": (0.0, 1.0)}
        wide = break_even(PAPER, gpu, tokens=Tokens.typed(read, written or 1), ranges=ends)
        assert wide.capacity_interval.low <= wide.capacity
        assert wide.capacity_interval.high is None or wide.capacity_interval.high >= wide.capacity


def test_costs_at_a_load_are_told() -> None:
    one = break_even(PAPER, OwnGpu(4.05, 2, (200.0,)), load=500)
    assert "12.50 USD an hour and 3 GPUs 12.15 USD: own GPUs are cheaper" in one.sentence
    assert one.table()["at_load"]["gpus"] == 3


# --- how sure it is --------------------------------------------------------------------

RANDOM = np.random.default_rng(7)
REQUESTS = Tokens(
    tuple(float(one) for one in RANDOM.integers(50, 900, 120)),
    tuple(float(one) for one in RANDOM.integers(10, 500, 120)),
)
BY_TOKEN = Api(input_price=2.5, output_price=10.0)


def test_without_anything_uncertain_there_is_no_interval() -> None:
    one = break_even(PAPER, OwnGpu(4.05, 2, (200.0,)))
    assert one.first_interval is one.for_good_interval is one.never_share is None


def test_the_interval_is_the_bootstrap_over_requests() -> None:
    one = break_even(BY_TOKEN, OwnGpu(4.05, 2), tokens=REQUESTS)
    costs = [(i * 2.5 + o * 10) / 1e6 for i, o in zip(REQUESTS.input, REQUESTS.output, strict=True)]
    mean, low, high = bootstrap_mean(costs)
    assert one.first_interval is not None
    assert one.crossover.first == pytest.approx(8.1 / mean)
    assert one.first_interval.low == pytest.approx(8.1 / high, rel=0.005)
    assert one.first_interval.high == pytest.approx(8.1 / low, rel=0.005)
    assert one.never_share == 0


def test_equal_requests_leave_no_doubt() -> None:
    one = break_even(BY_TOKEN, OwnGpu(4.05, 2), tokens=Tokens((100.0,) * 9, (50.0,) * 9))
    assert one.first_interval is not None
    assert one.first_interval.low == one.first_interval.high == one.crossover.first
    assert "As far as" not in one.sentence


def test_the_same_input_gives_the_same_interval() -> None:
    first, again = (break_even(BY_TOKEN, OwnGpu(4.0), tokens=REQUESTS) for _ in range(2))
    assert first == again


def test_repeats_of_a_measurement_may_leave_open_whether_it_pays() -> None:
    one = break_even(PAPER, OwnGpu(4.05, 2, (120.0, 150.0, 180.0, 260.0)))
    assert one.verdict == "staircase"
    assert one.never_share is not None
    assert 0.05 < one.never_share < 0.5
    assert one.for_good_interval is not None
    assert one.for_good_interval.high is None
    assert f"In {one.never_share:.0%} of the resamples they never pay" in one.sentence
    assert "never for good at worst" in one.sentence


def test_typed_ranges_reach_from_the_best_corner_to_the_worst() -> None:
    one = break_even(
        PAPER, OwnGpu(4.05, 2), ranges={"usd_per_hour": (3, 5), "usd_per_request": (0.02, 0.03)}
    )
    assert one.first_interval is not None
    assert one.first_interval.low == pytest.approx(2 * 3 / 0.03)
    assert one.first_interval.high == pytest.approx(2 * 5 / 0.02)


def test_typed_ranges_widen_what_was_resampled() -> None:
    narrow = break_even(BY_TOKEN, OwnGpu(4.0), tokens=REQUESTS).first_interval
    wide = break_even(
        BY_TOKEN, OwnGpu(4.0), tokens=REQUESTS, ranges={"usd_per_hour": (3, 5)}
    ).first_interval
    assert narrow is not None
    assert wide is not None
    assert wide.low == pytest.approx(narrow.low * 3 / 4)
    assert wide.high == pytest.approx(narrow.high * 5 / 4)


# --- what moves it ---------------------------------------------------------------------


def test_each_assumption_is_moved_alone_by_a_fifth() -> None:
    one = break_even(
        BY_TOKEN, OwnGpu(4.0, 2, (3000.0,), utilisation=0.9), tokens=Tokens.typed(500, 200)
    )
    moved = {bar.name: bar for bar in one.sensitivities}
    assert set(moved) == set(one.assumptions)
    dearer = break_even(
        BY_TOKEN, OwnGpu(4.8, 2, (3000.0,), utilisation=0.9), tokens=Tokens.typed(500, 200)
    )
    assert moved["usd_per_hour"].at_high == dearer.crossover
    longer = break_even(
        BY_TOKEN, OwnGpu(4.0, 2, (3000.0,), utilisation=0.9), tokens=Tokens.typed(500, 160)
    )
    assert moved["output_tokens"].at_low == longer.crossover
    assert (moved["utilisation"].low, moved["utilisation"].high) == pytest.approx((0.72, 1.0))
    assert (moved["gpus"].low, moved["gpus"].high) == (1, 3)


def test_a_given_range_takes_the_place_of_the_fifth() -> None:
    one = break_even(PAPER, OwnGpu(4.05, 2), ranges={"usd_per_hour": (1, 9)})
    bar = next(bar for bar in one.sensitivities if bar.name == "usd_per_hour")
    assert (bar.low, bar.high) == (1, 9)
    assert (bar.at_low.first, bar.at_high.first) == (80, 720)


def test_what_can_undo_it_comes_first_and_what_does_nothing_last() -> None:
    names = [bar.name for bar in two(200).sensitivities]
    assert names[-1] == "gpus"  # for good it takes five, whether one or three are there already
    assert set(names[:3]) == {"usd_per_request", "requests_per_hour_per_gpu", "utilisation"}


# --- bad numbers -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda: Api(),
        lambda: Api(usd_per_request=0.1, input_price=1.0),
        lambda: Api(usd_per_request=0.1, input_price=1.0, output_price=1.0),
        lambda: Api(input_price=1.0),
        lambda: Api(usd_per_request=-0.1),
        lambda: Api(usd_per_request=math.nan),
        lambda: OwnGpu(-1.0),
        lambda: OwnGpu(math.inf),
        lambda: OwnGpu(1.0, 0),
        lambda: OwnGpu(1.0, 1.5),  # type: ignore[arg-type]
        lambda: OwnGpu(1.0, 1, (0.0,)),
        lambda: OwnGpu(1.0, 1, utilisation=0.0),
        lambda: OwnGpu(1.0, 1, utilisation=1.2),
        lambda: OwnGpu(1.0, 1, reading_share=1.5),
        lambda: OwnGpu(1.0, 1, (5.0,), output_tokens_per_second=(1.0,)),
        lambda: OwnGpu(1.0, 1, (), (1.0, 2.0), (1.0,)),
        lambda: Tokens((), ()),
        lambda: Tokens((1.0,), (1.0, 2.0)),
        lambda: Tokens((0.0,), (0.0,)),
        lambda: Tokens((-1.0,), (3.0,)),
        lambda: break_even(BY_TOKEN, OwnGpu(1.0)),
        lambda: break_even(PAPER, OwnGpu(1.0, output_tokens_per_second=(3.0,))),
        lambda: break_even(PAPER, OwnGpu(1.0), load=-1),
        lambda: break_even(PAPER, OwnGpu(1.0), ranges={"usd_per_hour": (5, 3)}),
        lambda: break_even(PAPER, OwnGpu(1.0), ranges={"gpus": (1, 2.5)}),
        lambda: break_even(PAPER, OwnGpu(1.0), ranges={"usd_per_hour": (2, 3)}),
        lambda: break_even(PAPER, OwnGpu(1.0), ranges={"usd_per_hour": (0.5, 0.9)}),
        lambda: break_even(PAPER, OwnGpu(1.0, 1, (5.0,)), ranges={"utilisation": (0.5, 1.5)}),
        lambda: break_even(PAPER, OwnGpu(1.0, 1, (5.0,)), ranges={"utilisation": (0, 1)}),
        lambda: break_even(
            PAPER, OwnGpu(1.0, 1, (5.0,)), ranges={"requests_per_hour_per_gpu": (0, 1)}
        ),
        lambda: Case(1.0).break_even(),
        lambda: Case(1.0, api="openai/gpt-4o").break_even(),
        lambda: Case(1.0, usd_per_request=1.0, api="openai/gpt-4o").break_even(),
        lambda: Case(1.0, usd_per_request=1.0, input_tokens=3).break_even(),
        lambda: Case(1.0, usd_per_request=1.0, run="r", input_tokens=3).break_even(),
        lambda: Case(1.0, api="mistral/nobody-knows", input_tokens=3, output_tokens=3).break_even(),
    ],
)
def test_bad_numbers_are_refused_in_one_line(make: object) -> None:
    with pytest.raises(BadInput) as caught:
        make()  # type: ignore[operator]
    assert caught.value.remedy
    assert "\n" not in str(caught.value)


def test_a_range_of_nothing_is_named() -> None:
    with pytest.raises(UnknownName, match="usd_per_hour"):
        break_even(PAPER, OwnGpu(1.0), ranges={"usd_per_hours": (1, 2)})


# --- what is named ---------------------------------------------------------------------


def test_a_backend_brings_its_price_and_says_whose() -> None:
    price = price_of("openai/gpt-4o")
    assert price is not None
    one = Case(4.0, api="openai/gpt-4o", input_tokens=500, output_tokens=200).break_even()
    assert one.usd_per_request == pytest.approx(price.cost(500, 200))
    assert price.source in one.sources[0]


def test_an_unknown_price_is_no_zero() -> None:
    with pytest.raises(BadInput, match="price of mistral/nobody-knows is unknown"):
        Case(4.0, api="mistral/nobody-knows", input_tokens=5, output_tokens=5).break_even()


def test_the_example_begins_on_paper_and_names_its_source() -> None:
    rows = worked_example()
    assert rows[0][1].crossover == CLASSIC.break_even().crossover
    assert [one.crossover.for_good for _, one in rows] == [324, 324, 486, 810, None]
    assert all("assumed numbers" in one.sources[0] for _, one in rows)


# --- the pictures ----------------------------------------------------------------------


def trace(figure: object, name: str) -> object:
    return next(one for one in figure.data if one.name == name)  # type: ignore[attr-defined]


def test_lines_meet_where_the_crossover_is_marked() -> None:
    one = two(200)
    figure = cost_over_load(one)
    mark = trace(figure, "crossover")
    assert list(mark.x) == [324, 810]  # type: ignore[attr-defined]
    api, own = trace(figure, "API"), trace(figure, "own GPUs")
    for load, cost in zip(mark.x, mark.y, strict=True):  # type: ignore[attr-defined]
        assert np.interp(load, api.x, api.y) == pytest.approx(cost)  # type: ignore[attr-defined]
        assert one.gpu_cost(load) == pytest.approx(cost)
    assert set(np.round(np.diff(own.y), 2)) == {0.0, 4.05}  # type: ignore[attr-defined]


@pytest.mark.parametrize("speed", [None, 0.01, 100.0, 162.0, 400.0])
def test_every_verdict_can_be_drawn(speed: float | None) -> None:
    one = two(speed)
    for figure in (cost_over_load(one), tornado(one)):
        assert json.loads(figure.to_json())["data"]
    for free in (
        break_even(Api(usd_per_request=0.0), OwnGpu(1.0)),
        break_even(PAPER, OwnGpu(0.0, 1, (5.0,))),
        break_even(Api(usd_per_request=0.0), OwnGpu(0.0)),
    ):
        assert cost_over_load(free).data
        assert tornado(free).data


def test_the_band_lies_around_the_staircase() -> None:
    one = break_even(PAPER, OwnGpu(4.05, 2, (300.0, 400.0, 500.0)))
    band = trace(cost_over_load(one), "own GPUs, 95 %")
    half = len(band.x) // 2  # type: ignore[attr-defined]
    dear, cheap = np.array(band.y[:half]), np.array(band.y[half:][::-1])  # type: ignore[attr-defined]
    own = np.array([one.gpu_cost(load) for load in band.x[:half]])  # type: ignore[attr-defined]
    assert (cheap <= own).all()
    assert (own <= dear).all()
    assert (cheap < dear).any()


def test_a_bar_reaches_from_the_crossover_to_where_the_assumption_moves_it() -> None:
    figure = tornado(two())
    for bars in figure.data:
        ends = {
            str(title).split("<")[0]: bars.base + length
            for title, length in zip(bars.y, bars.x, strict=True)
        }
        moved = "at_low" if bars.name == "lower" else "at_high"
        for bar in two().sensitivities:
            assert ends[bar.title] == pytest.approx(getattr(bar, moved).first)


def test_where_nothing_pays_the_picture_shows_how_far_it_is_from_paying() -> None:
    one = two(100)
    assert one.crossover.ratio == pytest.approx(1.62)
    assert [bar.at_high.ratio for bar in one.sensitivities if bar.name == "usd_per_request"] == [
        pytest.approx(1.35)
    ]
    figure = tornado(one)
    assert figure.layout.xaxis.title.text == "times the API's price"
    assert any(bars.x and max(map(abs, bars.x)) > 0 for bars in figure.data)


# --- the command -----------------------------------------------------------------------


def call(*arguments: str) -> str:
    done = CliRunner().invoke(cost_app, ["break-even", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_example_prints_324() -> None:
    printed = call("--example")
    assert "324 requests an hour" in " ".join(printed.split())
    assert "assumed numbers" in " ".join(printed.split())
    rows = json.loads(call("--example", "--json"))
    assert rows[0]["crossover"] == {"first": 324.0, "for_good": 324.0, "ratio": None}
    assert rows[-1]["verdict"] == "never"


def test_the_command_takes_every_assumption(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    typed = "--api openai/gpt-4o --input-tokens 500 --output-tokens 200 --gpu-usd-per-hour 4"
    speed = "--gpus 2 --requests-per-hour-per-gpu 3000 --utilisation 0.9 --load 100"
    ranges = "--range usd_per_hour=3:5 --range utilisation=0.5:1"
    one = json.loads(call(*f"{typed} {speed} {ranges} --json --html {page}".split()))
    assert one["capacity"] == 2700
    assert one["assumptions"]["utilisation"] == 0.9
    assert one["at_load"]["gpus"] == 2
    assert one["first_interval"]["low"] < one["crossover"]["first"]
    assert one["sentence"].split(".")[0] in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "arguments",
    ["", "--gpu-usd-per-hour 4", "--gpu-usd-per-hour 4 --api-usd-per-request 1 --range x"],
)
def test_what_is_missing_is_said(arguments: str) -> None:
    with pytest.raises(BadInput):
        call(*arguments.split())


def test_prices_are_shown_with_source_and_date_and_unknown_where_unknown() -> None:
    done = CliRunner().invoke(cost_app, ["prices", "openai/gpt-4o", "mistral/nobody-knows"])
    assert "genai-prices" in done.stdout
    assert "unknown" in done.stdout
    found = CliRunner().invoke(cost_app, ["prices", "mistral/nobody-knows", "--json"])
    assert json.loads(found.stdout) == {"mistral/nobody-knows": None}
