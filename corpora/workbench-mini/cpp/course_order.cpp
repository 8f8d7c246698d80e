#include <functional>
#include <queue>
#include <vector>

std::vector<int> course_order(int count, std::vector<std::vector<int>> pairs) {
    std::vector<int> missing(count, 0);
    for (const auto& pair : pairs) {
        ++missing[pair[1]];
    }
    std::priority_queue<int, std::vector<int>, std::greater<int>> ready;
    for (int course = 0; course < count; ++course) {
        if (missing[course] == 0) {
            ready.push(course);
        }
    }
    std::vector<int> order;
    while (!ready.empty()) {
        const int course = ready.top();
        ready.pop();
        order.push_back(course);
        for (const auto& pair : pairs) {
            if (pair[0] == course && --missing[pair[1]] == 0) {
                ready.push(pair[1]);
            }
        }
    }
    return static_cast<int>(order.size()) == count ? order : std::vector<int>{};
}
