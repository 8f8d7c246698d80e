#include <string>
#include <vector>

std::vector<std::string> bell_words(int count) {
    std::vector<std::string> words;
    for (int number = 1; number <= count; ++number) {
        if (number % 12 == 0) {
            words.push_back("ding-dong");
        } else if (number % 4 == 0) {
            words.push_back("ding");
        } else if (number % 6 == 0) {
            words.push_back("dong");
        } else {
            words.push_back(std::to_string(number));
        }
    }
    return words;
}
