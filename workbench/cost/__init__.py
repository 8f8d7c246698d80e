"""What answers cost, and from how many requests on an own GPU pays.

``run_cost.run_cost`` adds up what a run cost, ``throughput.throughput`` measures what this machine
answers an hour, ``break_even.break_even`` sets an API against own GPUs, ``figures`` draws.
"""

from workbench.cost.assumptions import Api, OwnGpu, Tokens
from workbench.cost.break_even import BreakEven, break_even
from workbench.cost.records import Point, SolverCost
from workbench.cost.run_cost import RunCost, run_cost
from workbench.cost.throughput import Throughput, load_throughput, throughput

__all__ = [
    "Api",
    "BreakEven",
    "OwnGpu",
    "Point",
    "RunCost",
    "SolverCost",
    "Throughput",
    "Tokens",
    "break_even",
    "load_throughput",
    "run_cost",
    "throughput",
]
