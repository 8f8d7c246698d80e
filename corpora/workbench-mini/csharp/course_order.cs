using System;
using System.Collections.Generic;

public class Solution
{
    public static List<int> CourseOrder(int count, List<List<int>> pairs)
    {
        var missing = new int[count];
        foreach (var pair in pairs) missing[pair[1]]++;
        var order = new List<int>();
        while (order.Count < count)
        {
            int course = Array.IndexOf(missing, 0);
            if (course < 0) return new List<int>();
            missing[course] = -1;
            order.Add(course);
            foreach (var pair in pairs)
            {
                if (pair[0] == course) missing[pair[1]]--;
            }
        }
        return order;
    }
}
