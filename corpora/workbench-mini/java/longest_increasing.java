import java.util.Arrays;

class Solution {
    static int longestIncreasing(int[] numbers) {
        int[] ends = new int[numbers.length];
        int length = 0;
        for (int number : numbers) {
            int place = Arrays.binarySearch(ends, 0, length, number);
            if (place < 0) {
                place = -place - 1;
            }
            ends[place] = number;
            if (place == length) {
                length++;
            }
        }
        return length;
    }
}
