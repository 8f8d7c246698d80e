class Solution {
    static long coinWays(int amount, int[] coins) {
        long[] ways = new long[amount + 1];
        ways[0] = 1;
        for (int coin : coins) {
            for (int paid = coin; paid <= amount; paid++) {
                ways[paid] += ways[paid - coin];
            }
        }
        return ways[amount];
    }
}
