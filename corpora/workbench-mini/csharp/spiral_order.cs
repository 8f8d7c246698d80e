using System.Collections.Generic;

public class Solution
{
    public static List<int> SpiralOrder(List<List<int>> matrix)
    {
        var order = new List<int>();
        int top = 0, left = 0, bottom = matrix.Count - 1;
        int right = matrix.Count == 0 ? -1 : matrix[0].Count - 1;
        while (top <= bottom && left <= right)
        {
            for (int x = left; x <= right; x++) order.Add(matrix[top][x]);
            for (int y = top + 1; y <= bottom; y++) order.Add(matrix[y][right]);
            for (int x = right - 1; x >= left && bottom > top; x--) order.Add(matrix[bottom][x]);
            for (int y = bottom - 1; y > top && right > left; y--) order.Add(matrix[y][left]);
            top++;
            left++;
            bottom--;
            right--;
        }
        return order;
    }
}
