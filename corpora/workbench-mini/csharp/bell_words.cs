using System.Collections.Generic;

public class Solution
{
    public static List<string> BellWords(int count)
    {
        var words = new List<string>();
        for (int number = 1; number <= count; number++)
        {
            if (number % 12 == 0) words.Add("ding-dong");
            else if (number % 4 == 0) words.Add("ding");
            else if (number % 6 == 0) words.Add("dong");
            else words.Add(number.ToString());
        }
        return words;
    }
}
