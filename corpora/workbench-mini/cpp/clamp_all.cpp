#include <algorithm>
#include <vector>

std::vector<double> clamp_all(std::vector<double> numbers, double low, double high) {
    for (double& number : numbers) {
        number = std::min(std::max(number, low), high);
    }
    return numbers;
}
