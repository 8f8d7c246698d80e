def balanced_brackets(text: str) -> bool:
    closing = {")": "(", "]": "[", "}": "{"}
    stack = []
    for character in text:
        if character in closing.values():
            stack.append(character)
        elif character in closing and (not stack or stack.pop() != closing[character]):
            return False
    return not stack
