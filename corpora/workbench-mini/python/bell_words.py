def bell_words(count: int) -> list[str]:
    words = []
    for number in range(1, count + 1):
        bells = ["ding"] * (number % 4 == 0) + ["dong"] * (number % 6 == 0)
        words.append("-".join(bells) or str(number))
    return words
