class Solution {
    static int[] runningMaximum(int[] numbers) {
        int[] largest = numbers.clone();
        for (int i = 1; i < largest.length; i++) {
            largest[i] = Math.max(largest[i - 1], largest[i]);
        }
        return largest;
    }
}
