from itertools import accumulate


def running_maximum(numbers: list[int]) -> list[int]:
    return list(accumulate(numbers, max))
