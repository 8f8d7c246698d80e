#include <string>
#include <vector>

std::string longest_common_prefix(std::vector<std::string> words) {
    std::string prefix = words.empty() ? "" : words[0];
    for (const std::string& word : words) {
        while (word.compare(0, prefix.size(), prefix) != 0) {
            prefix.pop_back();
        }
    }
    return prefix;
}
