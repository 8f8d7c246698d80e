import java.util.List;

class Solution {
    static boolean canSegment(String text, List<String> words) {
        boolean[] reached = new boolean[text.length() + 1];
        reached[0] = true;
        for (int end = 1; end <= text.length(); end++) {
            for (String word : words) {
                int start = end - word.length();
                if (start >= 0 && start < end && reached[start] && text.startsWith(word, start)) {
                    reached[end] = true;
                }
            }
        }
        return reached[text.length()];
    }
}
