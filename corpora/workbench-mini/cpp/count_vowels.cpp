#include <cctype>
#include <string>

int count_vowels(const std::string& text) {
    int count = 0;
    for (unsigned char c : text) {
        count += std::string("aeiou").find(std::tolower(c)) != std::string::npos;
    }
    return count;
}
