#include <vector>

std::vector<int> interleave(std::vector<int> first, std::vector<int> second) {
    std::vector<int> mixed;
    for (std::size_t i = 0; i < first.size() || i < second.size(); ++i) {
        if (i < first.size()) {
            mixed.push_back(first[i]);
        }
        if (i < second.size()) {
            mixed.push_back(second[i]);
        }
    }
    return mixed;
}
