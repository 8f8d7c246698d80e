import re


def evaluate_expression(text: str) -> int:
    tokens = re.findall(r"\d+|[-+*()]", text)[::-1]

    def total() -> int:
        value = product()
        while tokens and tokens[-1] in "+-":
            value += product() if tokens.pop() == "+" else -product()
        return value

    def product() -> int:
        value = factor()
        while tokens and tokens[-1] == "*":
            tokens.pop()
            value *= factor()
        return value

    def factor() -> int:
        token = tokens.pop()
        if token != "(":
            return int(token)
        value = total()
        tokens.pop()
        return value

    return total()
