from collections import deque


def shortest_path(grid: list[str]) -> int:
    places = {(y, x): mark for y, row in enumerate(grid) for x, mark in enumerate(row)}
    start = next(place for place, mark in places.items() if mark == "S")
    steps = {start: 0}
    queue = deque([start])
    while queue:
        y, x = queue.popleft()
        if places[y, x] == "E":
            return steps[y, x]
        for place in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if places.get(place, "#") != "#" and place not in steps:
                steps[place] = steps[y, x] + 1
                queue.append(place)
    return -1
