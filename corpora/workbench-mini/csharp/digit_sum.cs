using System;

public class Solution
{
    public static int DigitSum(long number)
    {
        int sum = 0;
        for (long rest = Math.Abs(number); rest > 0; rest /= 10)
        {
            sum += (int)(rest % 10);
        }
        return sum;
    }
}
