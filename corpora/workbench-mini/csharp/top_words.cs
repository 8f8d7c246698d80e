using System;
using System.Collections.Generic;
using System.Linq;

public class Solution
{
    public static List<string> TopWords(string text, int count)
    {
        return text.Split(new[] { ' ' }, StringSplitOptions.RemoveEmptyEntries)
            .GroupBy(word => word)
            .OrderByDescending(group => group.Count())
            .ThenBy(group => group.Key, StringComparer.Ordinal)
            .Select(group => group.Key)
            .Take(count)
            .ToList();
    }
}
