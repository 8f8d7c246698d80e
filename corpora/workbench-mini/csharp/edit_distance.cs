using System;

public class Solution
{
    public static int EditDistance(string first, string second)
    {
        var cost = new int[first.Length + 1, second.Length + 1];
        for (int i = 0; i <= first.Length; i++)
        {
            for (int j = 0; j <= second.Length; j++)
            {
                if (i == 0 || j == 0)
                {
                    cost[i, j] = i + j;
                    continue;
                }
                int change = first[i - 1] == second[j - 1] ? 0 : 1;
                int oneMore = Math.Min(cost[i - 1, j], cost[i, j - 1]) + 1;
                cost[i, j] = Math.Min(oneMore, cost[i - 1, j - 1] + change);
            }
        }
        return cost[first.Length, second.Length];
    }
}
