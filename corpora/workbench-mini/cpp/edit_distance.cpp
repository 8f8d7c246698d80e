#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

int edit_distance(std::string first, std::string second) {
    std::vector<int> row(second.size() + 1);
    std::iota(row.begin(), row.end(), 0);
    for (std::size_t i = 1; i <= first.size(); ++i) {
        int before = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= second.size(); ++j) {
            const int above = row[j];
            const int change = before + (first[i - 1] != second[j - 1]);
            row[j] = std::min({above + 1, row[j - 1] + 1, change});
            before = above;
        }
    }
    return row.back();
}
