using System;
using System.Collections.Generic;
using System.Linq;

public class Solution
{
    public static List<double> ClampAll(List<double> numbers, double low, double high)
    {
        return numbers.Select(number => Math.Min(Math.Max(number, low), high)).ToList();
    }
}
