def spiral_order(matrix: list[list[int]]) -> list[int]:
    order = []
    rest = [row[:] for row in matrix]
    while rest:
        order += rest.pop(0)
        rest = [list(row) for row in zip(*rest)][::-1]
    return order
