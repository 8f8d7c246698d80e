#include <algorithm>
#include <vector>

std::vector<double> window_medians(std::vector<int> numbers, int size) {
    std::vector<double> medians;
    for (std::size_t end = size; end <= numbers.size(); ++end) {
        std::vector<int> window(numbers.begin() + (end - size), numbers.begin() + end);
        std::sort(window.begin(), window.end());
        medians.push_back((window[(size - 1) / 2] + window[size / 2]) / 2.0);
    }
    return medians;
}
