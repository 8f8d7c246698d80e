from heapq import heapify, heappop, heappush


def course_order(count: int, pairs: list[list[int]]) -> list[int]:
    missing = [0] * count
    after = [[] for _ in range(count)]
    for first, second in pairs:
        missing[second] += 1
        after[first].append(second)
    ready = [course for course in range(count) if missing[course] == 0]
    heapify(ready)
    order = []
    while ready:
        course = heappop(ready)
        order.append(course)
        for following in after[course]:
            missing[following] -= 1
            if missing[following] == 0:
                heappush(ready, following)
    return order if len(order) == count else []
