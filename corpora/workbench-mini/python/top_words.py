from collections import Counter


def top_words(text: str, count: int) -> list[str]:
    counts = Counter(text.split())
    return sorted(counts, key=lambda word: (-counts[word], word))[:count]
