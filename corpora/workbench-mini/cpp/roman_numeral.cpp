#include <string>
#include <utility>
#include <vector>

std::string roman_numeral(int number) {
    const std::vector<std::pair<int, std::string>> signs = {
        {1000, "M"}, {900, "CM"}, {500, "D"}, {400, "CD"}, {100, "C"}, {90, "XC"}, {50, "L"},
        {40, "XL"},  {10, "X"},   {9, "IX"},  {5, "V"},    {4, "IV"},  {1, "I"}};
    std::string numeral;
    for (const auto& [value, sign] : signs) {
        for (; number >= value; number -= value) {
            numeral += sign;
        }
    }
    return numeral;
}
