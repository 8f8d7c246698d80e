#include <algorithm>
#include <vector>

std::vector<int> running_maximum(std::vector<int> numbers) {
    for (std::size_t i = 1; i < numbers.size(); ++i) {
        numbers[i] = std::max(numbers[i - 1], numbers[i]);
    }
    return numbers;
}
