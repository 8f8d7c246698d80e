public class Solution
{
    private readonly string text;
    private int place;

    private Solution(string text)
    {
        this.text = text.Replace(" ", "");
    }

    public static long EvaluateExpression(string text)
    {
        return new Solution(text).Total();
    }

    private bool At(string signs)
    {
        return place < text.Length && signs.IndexOf(text[place]) >= 0;
    }

    private long Total()
    {
        long value = Product();
        while (At("+-"))
        {
            value += text[place++] == '+' ? Product() : -Product();
        }
        return value;
    }

    private long Product()
    {
        long value = Factor();
        while (At("*"))
        {
            place++;
            value *= Factor();
        }
        return value;
    }

    private long Factor()
    {
        if (At("("))
        {
            place++;
            long inner = Total();
            place++;
            return inner;
        }
        long value = 0;
        while (At("0123456789"))
        {
            value = value * 10 + (text[place++] - '0');
        }
        return value;
    }
}
