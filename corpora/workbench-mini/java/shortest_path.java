import java.util.ArrayDeque;
import java.util.Deque;

class Solution {
    static int shortestPath(String[] grid) {
        int height = grid.length;
        int width = grid[0].length();
        int[][] steps = new int[height][width];
        Deque<int[]> queue = new ArrayDeque<>();
        for (int y = 0; y < height; y++) {
            for (int x = 0; x < width; x++) {
                steps[y][x] = -1;
                if (grid[y].charAt(x) == 'S') {
                    steps[y][x] = 0;
                    queue.add(new int[] {y, x});
                }
            }
        }
        int[][] moves = {{-1, 0}, {1, 0}, {0, -1}, {0, 1}};
        while (!queue.isEmpty()) {
            int[] here = queue.remove();
            if (grid[here[0]].charAt(here[1]) == 'E') {
                return steps[here[0]][here[1]];
            }
            for (int[] move : moves) {
                int y = here[0] + move[0];
                int x = here[1] + move[1];
                boolean inside = y >= 0 && y < height && x >= 0 && x < width;
                if (inside && steps[y][x] < 0 && grid[y].charAt(x) != '#') {
                    steps[y][x] = steps[here[0]][here[1]] + 1;
                    queue.add(new int[] {y, x});
                }
            }
        }
        return -1;
    }
}
