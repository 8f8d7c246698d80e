using System;
using System.Collections.Generic;
using System.Linq;

public class Solution
{
    public static Dictionary<string, int> CountWords(string sentence)
    {
        return sentence.Split(new[] { ' ' }, StringSplitOptions.RemoveEmptyEntries)
            .GroupBy(word => word)
            .ToDictionary(group => group.Key, group => group.Count());
    }
}
