#include <map>
#include <sstream>
#include <string>

std::map<std::string, int> count_words(std::string sentence) {
    std::map<std::string, int> counts;
    std::istringstream words(sentence);
    for (std::string word; words >> word;) {
        ++counts[word];
    }
    return counts;
}
