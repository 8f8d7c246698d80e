#include <cctype>
#include <string>

namespace {

struct Parser {
    std::string text;
    std::size_t place = 0;

    char next() {
        while (place < text.size() && text[place] == ' ') {
            ++place;
        }
        return place < text.size() ? text[place] : '\0';
    }

    long long total() {
        long long value = product();
        while (next() == '+' || next() == '-') {
            const bool plus = text[place++] == '+';
            const long long term = product();
            value += plus ? term : -term;
        }
        return value;
    }

    long long product() {
        long long value = factor();
        while (next() == '*') {
            ++place;
            value *= factor();
        }
        return value;
    }

    long long factor() {
        if (next() == '(') {
            ++place;
            const long long value = total();
            next();
            ++place;
            return value;
        }
        long long value = 0;
        while (place < text.size() && std::isdigit(static_cast<unsigned char>(text[place]))) {
            value = value * 10 + (text[place++] - '0');
        }
        return value;
    }
};

}  // namespace

long long evaluate_expression(std::string text) {
    return Parser{text}.total();
}
