#include <string>

bool is_rotation(std::string first, std::string second) {
    return first.size() == second.size() && (first + first).find(second) != std::string::npos;
}
