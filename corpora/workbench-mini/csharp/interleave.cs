using System;
using System.Collections.Generic;

public class Solution
{
    public static List<int> Interleave(List<int> first, List<int> second)
    {
        var mixed = new List<int>();
        for (int i = 0; i < Math.Max(first.Count, second.Count); i++)
        {
            if (i < first.Count) mixed.Add(first[i]);
            if (i < second.Count) mixed.Add(second[i]);
        }
        return mixed;
    }
}
