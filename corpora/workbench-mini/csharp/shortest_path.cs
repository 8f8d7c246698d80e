using System.Collections.Generic;

public class Solution
{
    public static int ShortestPath(List<string> grid)
    {
        int height = grid.Count, width = grid[0].Length;
        var steps = new int[height, width];
        var queue = new Queue<int[]>();
        for (int y = 0; y < height; y++)
        {
            for (int x = 0; x < width; x++)
            {
                steps[y, x] = -1;
                if (grid[y][x] == 'S')
                {
                    steps[y, x] = 0;
                    queue.Enqueue(new[] { y, x });
                }
            }
        }
        var moves = new[] { new[] { -1, 0 }, new[] { 1, 0 }, new[] { 0, -1 }, new[] { 0, 1 } };
        while (queue.Count > 0)
        {
            var here = queue.Dequeue();
            if (grid[here[0]][here[1]] == 'E') return steps[here[0], here[1]];
            foreach (var move in moves)
            {
                int y = here[0] + move[0], x = here[1] + move[1];
                if (y < 0 || y >= height || x < 0 || x >= width) continue;
                if (grid[y][x] == '#' || steps[y, x] >= 0) continue;
                steps[y, x] = steps[here[0], here[1]] + 1;
                queue.Enqueue(new[] { y, x });
            }
        }
        return -1;
    }
}
