#include <vector>

std::vector<int> spiral_order(std::vector<std::vector<int>> matrix) {
    std::vector<int> order;
    int top = 0, left = 0;
    int bottom = static_cast<int>(matrix.size()) - 1;
    int right = matrix.empty() ? -1 : static_cast<int>(matrix[0].size()) - 1;
    for (; top <= bottom && left <= right; ++top, ++left, --bottom, --right) {
        for (int x = left; x <= right; ++x) order.push_back(matrix[top][x]);
        for (int y = top + 1; y <= bottom; ++y) order.push_back(matrix[y][right]);
        for (int x = right - 1; x >= left && bottom > top; --x) order.push_back(matrix[bottom][x]);
        for (int y = bottom - 1; y > top && right > left; --y) order.push_back(matrix[y][left]);
    }
    return order;
}
