class Solution {
    static String caesarShift(String text, int shift) {
        StringBuilder shifted = new StringBuilder();
        for (char c : text.toCharArray()) {
            if (c >= 'a' && c <= 'z') {
                c = (char) ('a' + Math.floorMod(c - 'a' + shift, 26));
            } else if (c >= 'A' && c <= 'Z') {
                c = (char) ('A' + Math.floorMod(c - 'A' + shift, 26));
            }
            shifted.append(c);
        }
        return shifted.toString();
    }
}
