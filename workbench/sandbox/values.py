"""Values of CallTests: what is sent, and whether what came back is what was expected.

The types are those of ``CallTests``: ``int``, ``float``, ``str``, ``bool``, ``list[T]`` and
``dict[str, T]``. A type of another name is compared as JSON has it.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

_ENDLESS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


@cache
def item_type(kind: str) -> tuple[str, str]:
    """Split ``list[T]`` into ("list", T) and ``dict[str, T]`` into ("dict", T); "" for no T."""
    kind = kind.strip()
    if kind.startswith("list[") and kind.endswith("]"):
        return "list", kind[5:-1].strip()
    if kind.startswith("dict[str,") and kind.endswith("]"):
        return "dict", kind[9:-1].strip()
    return kind, ""


def to_wire(value: Any, kind: str) -> Any:
    """Return the JSON that is sent for a value: a float stays one, also where it is whole."""
    name, item = item_type(kind)
    if name == "list" and isinstance(value, list | tuple):
        return [to_wire(one, item) for one in value]
    if name == "dict" and isinstance(value, dict):
        return {key: to_wire(one, item) for key, one in value.items()}
    if name == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"}
    if isinstance(value, list | tuple):
        return [to_wire(one, "") for one in value]
    if isinstance(value, dict):
        return {key: to_wire(one, "") for key, one in value.items()}
    return value


def equal(value: Any, expected: Any, kind: str, tolerance: float) -> bool:
    """Whether a value that came back is the one expected, as values of the type ``kind``.

    An int is no bool and no float, and a float may have come as a whole number, as languages
    write 3.0 so. Floats are equal within ``tolerance``, relative or absolute; NaN equals NaN. The
    order of a dict does not matter. Never raises, whatever came back.
    """
    name, item = item_type(kind)
    if name == "list" or (isinstance(expected, list | tuple) and name != "dict"):
        return (
            isinstance(value, list)
            and isinstance(expected, list | tuple)
            and len(value) == len(expected)
            and all(equal(*pair, item, tolerance) for pair in zip(value, expected, strict=True))
        )
    number = _float(expected) if name == "float" or isinstance(expected, float) else None
    if number is not None:
        return _equal_floats(_float(value), number, tolerance)
    if isinstance(expected, dict):
        return (
            isinstance(value, dict)
            and value.keys() == expected.keys()
            and all(equal(value[key], expected[key], item, tolerance) for key in expected)
        )
    return type(value) is type(expected) and bool(value == expected)


def _float(value: Any) -> float | None:
    """Return the float that a JSON value is, None where it is none."""
    if isinstance(value, dict) and value.keys() == {"$float"}:
        name = value["$float"]
        return _ENDLESS.get(name) if isinstance(name, str) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _equal_floats(value: float | None, expected: float, tolerance: float) -> bool:
    if value is None or math.isnan(expected):
        return value is not None and math.isnan(value)
    return value == expected or math.isclose(value, expected, rel_tol=tolerance, abs_tol=tolerance)
