def is_rotation(first: str, second: str) -> bool:
    return len(first) == len(second) and second in first + first
