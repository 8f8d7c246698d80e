using System.Text;

public class Solution
{
    public static string RomanNumeral(int number)
    {
        int[] values = { 1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1 };
        string[] signs = { "M", "CM", "D", "CD", "C", "XC", "L", "XL", "X", "IX", "V", "IV", "I" };
        var numeral = new StringBuilder();
        for (int i = 0; i < values.Length; i++)
        {
            for (; number >= values[i]; number -= values[i])
            {
                numeral.Append(signs[i]);
            }
        }
        return numeral.ToString();
    }
}
