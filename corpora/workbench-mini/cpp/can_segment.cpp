#include <string>
#include <vector>

bool can_segment(std::string text, std::vector<std::string> words) {
    std::vector<bool> reached(text.size() + 1, false);
    reached[0] = true;
    for (std::size_t start = 0; start < text.size(); ++start) {
        for (const std::string& word : words) {
            if (reached[start] && text.compare(start, word.size(), word) == 0) {
                reached[start + word.size()] = true;
            }
        }
    }
    return reached[text.size()];
}
