using System.Text;

public class Solution
{
    public static string RunLengths(string text)
    {
        var encoded = new StringBuilder();
        int start = 0;
        for (int end = 1; end <= text.Length; end++)
        {
            if (end == text.Length || text[end] != text[start])
            {
                encoded.Append(text[start]).Append(end - start);
                start = end;
            }
        }
        return encoded.ToString();
    }
}
