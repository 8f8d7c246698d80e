#include <algorithm>
#include <map>
#include <sstream>
#include <string>
#include <vector>

std::vector<std::string> top_words(std::string text, int count) {
    std::map<std::string, int> counts;
    std::istringstream stream(text);
    for (std::string word; stream >> word;) {
        ++counts[word];
    }
    std::vector<std::string> words;
    for (const auto& entry : counts) {
        words.push_back(entry.first);
    }
    std::stable_sort(words.begin(), words.end(), [&](const std::string& a, const std::string& b) {
        return counts[a] > counts[b];
    });
    words.resize(std::min<std::size_t>(words.size(), count));
    return words;
}
