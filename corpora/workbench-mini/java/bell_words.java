import java.util.ArrayList;
import java.util.List;

class Solution {
    static List<String> bellWords(int count) {
        List<String> words = new ArrayList<>();
        for (int number = 1; number <= count; number++) {
            if (number % 12 == 0) {
                words.add("ding-dong");
            } else if (number % 4 == 0) {
                words.add("ding");
            } else if (number % 6 == 0) {
                words.add("dong");
            } else {
                words.add(String.valueOf(number));
            }
        }
        return words;
    }
}
