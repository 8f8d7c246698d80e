import java.util.Arrays;

class Solution {
    static double[] windowMedians(int[] numbers, int size) {
        double[] medians = new double[Math.max(0, numbers.length - size + 1)];
        for (int start = 0; start < medians.length; start++) {
            int[] window = Arrays.copyOfRange(numbers, start, start + size);
            Arrays.sort(window);
            medians[start] = (window[(size - 1) / 2] + window[size / 2]) / 2.0;
        }
        return medians;
    }
}
