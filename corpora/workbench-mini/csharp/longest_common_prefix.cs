using System;
using System.Collections.Generic;

public class Solution
{
    public static string LongestCommonPrefix(List<string> words)
    {
        string prefix = words.Count == 0 ? "" : words[0];
        foreach (string word in words)
        {
            while (!word.StartsWith(prefix, StringComparison.Ordinal))
            {
                prefix = prefix.Substring(0, prefix.Length - 1);
            }
        }
        return prefix;
    }
}
