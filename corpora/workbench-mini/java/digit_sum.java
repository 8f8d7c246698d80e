class Solution {
    static int digitSum(long number) {
        int sum = 0;
        for (long rest = Math.abs(number); rest > 0; rest /= 10) {
            sum += (int) (rest % 10);
        }
        return sum;
    }
}
