#include <string>

std::string caesar_shift(std::string text, int shift) {
    const int places = (shift % 26 + 26) % 26;
    for (char& c : text) {
        if (c >= 'a' && c <= 'z') {
            c = 'a' + (c - 'a' + places) % 26;
        } else if (c >= 'A' && c <= 'Z') {
            c = 'A' + (c - 'A' + places) % 26;
        }
    }
    return text;
}
