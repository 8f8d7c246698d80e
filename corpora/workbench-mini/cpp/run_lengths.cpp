#include <string>

std::string run_lengths(std::string text) {
    std::string encoded;
    for (std::size_t start = 0, end; start < text.size(); start = end) {
        end = text.find_first_not_of(text[start], start);
        if (end == std::string::npos) {
            end = text.size();
        }
        encoded += text[start] + std::to_string(end - start);
    }
    return encoded;
}
