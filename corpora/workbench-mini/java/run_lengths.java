class Solution {
    static String runLengths(String text) {
        StringBuilder encoded = new StringBuilder();
        int start = 0;
        for (int end = 1; end <= text.length(); end++) {
            if (end == text.length() || text.charAt(end) != text.charAt(start)) {
                encoded.append(text.charAt(start)).append(end - start);
                start = end;
            }
        }
        return encoded.toString();
    }
}
