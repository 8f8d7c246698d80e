import java.util.ArrayList;
import java.util.List;

class Solution {
    static List<Integer> spiralOrder(int[][] matrix) {
        List<Integer> order = new ArrayList<>();
        int top = 0;
        int left = 0;
        int bottom = matrix.length - 1;
        int right = matrix.length == 0 ? -1 : matrix[0].length - 1;
        while (top <= bottom && left <= right) {
            for (int x = left; x <= right; x++) {
                order.add(matrix[top][x]);
            }
            for (int y = top + 1; y <= bottom; y++) {
                order.add(matrix[y][right]);
            }
            for (int x = right - 1; x >= left && bottom > top; x--) {
                order.add(matrix[bottom][x]);
            }
            for (int y = bottom - 1; y > top && right > left; y--) {
                order.add(matrix[y][left]);
            }
            top++;
            left++;
            bottom--;
            right--;
        }
        return order;
    }
}
