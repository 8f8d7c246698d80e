import java.util.ArrayDeque;
import java.util.Deque;

class Solution {
    static boolean balancedBrackets(String text) {
        Deque<Character> expected = new ArrayDeque<>();
        for (char c : text.toCharArray()) {
            int opening = "([{".indexOf(c);
            if (opening >= 0) {
                expected.push(")]}".charAt(opening));
            } else if (")]}".indexOf(c) >= 0 && (expected.isEmpty() || expected.pop() != c)) {
                return false;
            }
        }
        return expected.isEmpty();
    }
}
