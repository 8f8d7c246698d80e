#include <deque>
#include <string>
#include <utility>
#include <vector>

int shortest_path(std::vector<std::string> grid) {
    const int height = grid.size(), width = grid[0].size();
    std::vector<std::vector<int>> steps(height, std::vector<int>(width, -1));
    std::deque<std::pair<int, int>> queue;
    for (int y = 0; y < height; ++y) {
        for (int x = 0; x < width; ++x) {
            if (grid[y][x] == 'S') {
                steps[y][x] = 0;
                queue.push_back({y, x});
            }
        }
    }
    while (!queue.empty()) {
        const auto [y, x] = queue.front();
        queue.pop_front();
        if (grid[y][x] == 'E') {
            return steps[y][x];
        }
        const std::vector<std::pair<int, int>> around = {{y - 1, x}, {y + 1, x}, {y, x - 1}, {y, x + 1}};
        for (const auto& [v, u] : around) {
            if (v >= 0 && v < height && u >= 0 && u < width && grid[v][u] != '#' && steps[v][u] < 0) {
                steps[v][u] = steps[y][x] + 1;
                queue.push_back({v, u});
            }
        }
    }
    return -1;
}
