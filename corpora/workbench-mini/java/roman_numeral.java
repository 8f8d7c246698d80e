class Solution {
    static String romanNumeral(int number) {
        int[] values = {1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1};
        String[] signs = {"M", "CM", "D", "CD", "C", "XC", "L", "XL", "X", "IX", "V", "IV", "I"};
        StringBuilder numeral = new StringBuilder();
        for (int i = 0; i < values.length; i++) {
            numeral.append(signs[i].repeat(number / values[i]));
            number %= values[i];
        }
        return numeral.toString();
    }
}
