#include <algorithm>
#include <vector>

int longest_increasing(std::vector<int> numbers) {
    std::vector<int> ends;
    for (int number : numbers) {
        const auto place = std::lower_bound(ends.begin(), ends.end(), number);
        if (place == ends.end()) {
            ends.push_back(number);
        } else {
            *place = number;
        }
    }
    return ends.size();
}
