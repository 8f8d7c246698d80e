from bisect import bisect_left


def longest_increasing(numbers: list[int]) -> int:
    ends = []
    for number in numbers:
        place = bisect_left(ends, number)
        ends[place : place + 1] = [number]
    return len(ends)
