#include <string>

bool balanced_brackets(std::string text) {
    std::string expected;
    for (char c : text) {
        std::size_t opening = std::string("([{").find(c);
        if (opening != std::string::npos) {
            expected.push_back(")]}"[opening]);
        } else if (std::string(")]}").find(c) != std::string::npos) {
            if (expected.empty() || expected.back() != c) {
                return false;
            }
            expected.pop_back();
        }
    }
    return expected.empty();
}
