class Solution {
    static double[] clampAll(double[] numbers, double low, double high) {
        double[] limited = new double[numbers.length];
        for (int i = 0; i < numbers.length; i++) {
            limited[i] = Math.min(Math.max(numbers[i], low), high);
        }
        return limited;
    }
}
