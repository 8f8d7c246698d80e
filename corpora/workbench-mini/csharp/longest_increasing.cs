using System.Collections.Generic;

public class Solution
{
    public static int LongestIncreasing(List<int> numbers)
    {
        var ends = new List<int>();
        foreach (int number in numbers)
        {
            int place = ends.BinarySearch(number);
            if (place < 0) place = ~place;
            if (place == ends.Count) ends.Add(number);
            else ends[place] = number;
        }
        return ends.Count;
    }
}
