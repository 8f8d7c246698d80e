from itertools import groupby


def run_lengths(text: str) -> str:
    return "".join(f"{character}{len(list(run))}" for character, run in groupby(text))
