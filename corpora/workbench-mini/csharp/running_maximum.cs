using System;
using System.Collections.Generic;

public class Solution
{
    public static List<int> RunningMaximum(List<int> numbers)
    {
        var largest = new List<int>();
        foreach (int number in numbers)
        {
            largest.Add(largest.Count == 0 ? number : Math.Max(largest[largest.Count - 1], number));
        }
        return largest;
    }
}
