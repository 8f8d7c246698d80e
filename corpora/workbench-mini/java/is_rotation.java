class Solution {
    static boolean isRotation(String first, String second) {
        return first.length() == second.length() && (first + first).contains(second);
    }
}
