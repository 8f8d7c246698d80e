def caesar_shift(text: str, shift: int) -> str:
    shifted = []
    for character in text:
        if character.isascii() and character.isalpha():
            first = ord("a" if character.islower() else "A")
            character = chr(first + (ord(character) - first + shift) % 26)
        shifted.append(character)
    return "".join(shifted)
