def interleave(first: list[int], second: list[int]) -> list[int]:
    shared = min(len(first), len(second))
    mixed = [number for pair in zip(first, second) for number in pair]
    return mixed + first[shared:] + second[shared:]
