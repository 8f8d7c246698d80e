"""From what a person names (prices, backends, runs) to a break-even; and the worked example."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from workbench.backends.prices import price_of
from workbench.cost.assumptions import Api, OwnGpu, Tokens
from workbench.cost.break_even import BreakEven, break_even
from workbench.cost.run_cost import is_local, run_models, run_tokens
from workbench.cost.throughput import is_elsewhere, list_throughputs, load_throughput
from workbench.errors import BadInput

if TYPE_CHECKING:
    from workbench.cost.assumptions import Ranges
    from workbench.cost.records import Point

SOURCE = (
    "The classic case: 0.025 USD a request on a hosted model against 2 GPUs at 4.05 USD an hour."
    " A comparison on paper, on assumed numbers; nothing of it was measured."
)


@dataclass(frozen=True, slots=True)
class Case:
    """What a person names. The rest of a break-even is looked up.

    The API: ``usd_per_request``, or the price of the backend ``api``; without either, that of the
    one hosted model of ``run``. The tokens: ``input_tokens`` and ``output_tokens`` of a request,
    or those of the run's requests (of ``solver`` alone where it is named). The GPUs' speed:
    ``requests_per_hour_per_gpu``, or what was measured of the backend ``throughput`` on this
    machine, which then counts as one GPU (at ``concurrency``, the best one without).
    """

    usd_per_hour: float
    gpus: int = 1
    usd_per_request: float | None = None
    api: str | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None
    run: str | None = None
    solver: str | None = None
    requests_per_hour_per_gpu: float | None = None
    throughput: str | None = None
    concurrency: int | None = None
    utilisation: float = 1.0

    def break_even(self, load: float | None = None, ranges: Ranges | None = None) -> BreakEven:
        """Look up what was named, and set the API against the GPUs.

        Raises:
            BadInput: something is missing, given twice or unknown, such as a price.
            UnknownName: no run has that id.
        """
        tokens, counted = self._tokens()
        api, priced = self._api()
        gpu, measured = self._gpu(tokens)
        needed = api.needs_tokens or gpu.needs_tokens
        told = (priced, counted if needed else "", measured)
        return break_even(
            api,
            gpu,
            tokens=tokens,
            load=load,
            ranges=ranges,
            sources=[source for source in told if source],
        )

    def _tokens(self) -> tuple[Tokens | None, str]:
        typed = (self.input_tokens, self.output_tokens)
        if self.run is not None:
            if typed != (None, None):
                raise BadInput("The tokens are given twice.", "Give a run, or tokens in and out.")
            tokens = run_tokens(self.run, self.solver)
            return tokens, f"Tokens: {len(tokens.input):,} requests of the run {self.run}."
        if self.input_tokens is None or self.output_tokens is None:
            if typed != (None, None):
                raise BadInput(
                    "Of tokens in and out, one is missing.",
                    "Give both: --input-tokens 500 --output-tokens 200",
                )
            return None, ""
        return Tokens.typed(self.input_tokens, self.output_tokens), ""

    def _api(self) -> tuple[Api, str]:
        if self.usd_per_request is not None:
            if self.api is not None:
                raise BadInput("The API's price is given twice.", "Name a backend, or a price.")
            return Api(usd_per_request=self.usd_per_request), ""
        backend = self.api or self._hosted()
        price = price_of(backend)
        if price is None:
            raise BadInput(
                f"The price of {backend} is unknown.",
                "Write it into your price file, or give --api-usd-per-request.",
            )
        return Api(input_price=price.input, output_price=price.output), f"{backend}: {price}."

    def _hosted(self) -> str:
        """Return the one hosted model that answered in the run."""
        if self.run is None:
            raise BadInput(
                "There is no API to compare with.",
                "Give --api-usd-per-request, or --api BACKEND with tokens or a run.",
            )
        hosted = [name for name in run_models(self.run, self.solver) if not is_local(name)]
        if len(hosted) != 1:
            known = f"Hosted in {self.run}: {', '.join(hosted) or 'none'}."
            raise BadInput(known, "Name whose price to take: --api BACKEND")
        return hosted[0]

    def _gpu(self, tokens: Tokens | None) -> tuple[OwnGpu, str]:
        typed = self.requests_per_hour_per_gpu
        if self.throughput is None:
            speed = () if typed is None else (typed,)
            return self._own(requests_per_hour_per_gpu=speed), ""
        if typed is not None:
            raise BadInput(
                "The GPUs' speed is given twice.", "Give requests an hour, or a backend."
            )
        if is_elsewhere(self.throughput):
            raise BadInput(
                f"{self.throughput} answers elsewhere: no own GPU is as fast as that.",
                "Name a local backend, or a server of your own.",
            )
        measured = load_throughput(self.throughput)
        point = measured.at(self.concurrency)
        told = (
            f"Speed of a GPU: {measured.backend} as measured {measured.measured[:10]} on"
            f" {measured.machine['processor']}, {point.concurrency} requests at a time,"
            f" {len(point.repeats)} repeats."
        )
        return self._own(**_speed(point, measured.reading_share, tokens)), told

    def _own(self, **speed: Any) -> OwnGpu:
        return OwnGpu(self.usd_per_hour, self.gpus, utilisation=self.utilisation, **speed)


CLASSIC = Case(usd_per_hour=4.05, gpus=2, usd_per_request=0.025)
"""The classic case; see ``SOURCE``."""


def _speed(point: Point, share: float | None, tokens: Tokens | None) -> dict[str, Any]:
    """Return a measured speed in tokens a second where tokens are known, else in requests.

    Repeats in which nothing was answered say nothing of the speed.
    """
    repeats = [one for one in point.repeats if one.requests]
    read = tuple(one.input_tokens_per_second or 0.0 for one in repeats)
    written = tuple(one.tokens_per_second or 0.0 for one in repeats)
    if tokens is not None and all((*read, *written)):
        return {
            "input_tokens_per_second": read,
            "output_tokens_per_second": written,
            "reading_share": share,
        }
    return {"requests_per_hour_per_gpu": tuple(3600 * one.requests_per_second for one in repeats)}


def worked_example(throughput: str | None = None) -> list[tuple[str, BreakEven]]:
    """Return the classic case, and what speed and utilisation do to it, each with its title.

    The first speeds are assumed, to show what each does. Then come those that were measured on this
    machine: of the backend ``throughput``, or of all without it.

    Raises:
        BadInput: that backend was not measured on this machine.
    """
    found = [("on paper: no limit to what a GPU serves", CLASSIC)]
    for speed, utilisation in ((400.0, 1.0), (400.0, 0.6), (200.0, 1.0), (200.0, 0.8)):
        title = f"assumed: {speed:,.0f} requests a GPU and hour, {utilisation:.0%} used"
        case = replace(CLASSIC, requests_per_hour_per_gpu=speed, utilisation=utilisation)
        found.append((title, case))
    for name in _measured() if throughput is None else [throughput]:
        for utilisation in (1.0, 0.6):
            title = f"measured here: {name}, {utilisation:.0%} used"
            case = replace(CLASSIC, throughput=name, utilisation=utilisation)
            found.append((title, case))
    solved = [(title, case.break_even()) for title, case in found]
    return [(title, replace(one, sources=(SOURCE, *one.sources))) for title, one in solved]


def _measured() -> list[str]:
    """Return the backends of this machine whose speed is known."""
    return [
        one.backend
        for one in list_throughputs()
        if not is_elsewhere(one.backend) and any(point.requests for point in one.points)
    ]
