def clamp_all(numbers: list[float], low: float, high: float) -> list[float]:
    return [min(max(number, low), high) for number in numbers]
