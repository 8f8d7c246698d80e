using System.Collections.Generic;

public class Solution
{
    public static bool CanSegment(string text, List<string> words)
    {
        var reached = new bool[text.Length + 1];
        reached[0] = true;
        for (int start = 0; start < text.Length; start++)
        {
            foreach (string word in words)
            {
                bool fits = start + word.Length <= text.Length;
                if (reached[start] && fits && text.Substring(start, word.Length) == word)
                {
                    reached[start + word.Length] = true;
                }
            }
        }
        return reached[text.Length];
    }
}
