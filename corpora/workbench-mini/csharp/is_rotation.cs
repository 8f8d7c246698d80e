public class Solution
{
    public static bool IsRotation(string first, string second)
    {
        return first.Length == second.Length && (first + first).Contains(second);
    }
}
