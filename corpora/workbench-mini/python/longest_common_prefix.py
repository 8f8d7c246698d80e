from os.path import commonprefix


def longest_common_prefix(words: list[str]) -> str:
    return commonprefix(words)
