using System.Linq;

public class Solution
{
    public static int CountVowels(string text)
    {
        return text.ToLowerInvariant().Count(character => "aeiou".IndexOf(character) >= 0);
    }
}
