using System.Collections.Generic;

public class Solution
{
    public static bool BalancedBrackets(string text)
    {
        var expected = new Stack<char>();
        foreach (char character in text)
        {
            int opening = "([{".IndexOf(character);
            if (opening >= 0)
            {
                expected.Push(")]}"[opening]);
            }
            else if (")]}".IndexOf(character) >= 0)
            {
                if (expected.Count == 0 || expected.Pop() != character) return false;
            }
        }
        return expected.Count == 0;
    }
}
