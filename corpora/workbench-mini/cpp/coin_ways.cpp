#include <vector>

long long coin_ways(int amount, std::vector<int> coins) {
    std::vector<long long> ways(amount + 1, 0);
    ways[0] = 1;
    for (int coin : coins) {
        for (int paid = coin; paid <= amount; ++paid) {
            ways[paid] += ways[paid - coin];
        }
    }
    return ways[amount];
}
