using System.Collections.Generic;

public class Solution
{
    public static long CoinWays(int amount, List<int> coins)
    {
        var ways = new long[amount + 1];
        ways[0] = 1;
        foreach (int coin in coins)
        {
            for (int paid = coin; paid <= amount; paid++)
            {
                ways[paid] += ways[paid - coin];
            }
        }
        return ways[amount];
    }
}
