from statistics import median


def window_medians(numbers: list[int], size: int) -> list[float]:
    starts = range(len(numbers) - size + 1)
    return [float(median(numbers[start : start + size])) for start in starts]
