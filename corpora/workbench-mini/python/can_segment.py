def can_segment(text: str, words: list[str]) -> bool:
    reached = [True] + [False] * len(text)
    for end in range(1, len(text) + 1):
        reached[end] = any(
            text.endswith(word, 0, end) and reached[end - len(word)] for word in words if word
        )
    return reached[-1]
