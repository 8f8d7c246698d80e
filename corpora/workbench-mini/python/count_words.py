from collections import Counter


def count_words(sentence: str) -> dict[str, int]:
    return dict(Counter(sentence.split()))
