using System.Linq;

public class Solution
{
    public static string CaesarShift(string text, int shift)
    {
        int places = (shift % 26 + 26) % 26;
        return new string(text.Select(letter => Shifted(letter, places)).ToArray());
    }

    private static char Shifted(char letter, int places)
    {
        if (letter >= 'a' && letter <= 'z') return (char)('a' + (letter - 'a' + places) % 26);
        if (letter >= 'A' && letter <= 'Z') return (char)('A' + (letter - 'A' + places) % 26);
        return letter;
    }
}
