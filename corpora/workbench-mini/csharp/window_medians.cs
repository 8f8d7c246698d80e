using System.Collections.Generic;

public class Solution
{
    public static List<double> WindowMedians(List<int> numbers, int size)
    {
        var medians = new List<double>();
        for (int start = 0; start + size <= numbers.Count; start++)
        {
            var window = numbers.GetRange(start, size);
            window.Sort();
            medians.Add((window[(size - 1) / 2] + window[size / 2]) / 2.0);
        }
        return medians;
    }
}
