import java.util.HashMap;
import java.util.Map;

class Solution {
    static Map<String, Integer> countWords(String sentence) {
        Map<String, Integer> counts = new HashMap<>();
        for (String word : sentence.split(" +")) {
            if (!word.isEmpty()) {
                counts.merge(word, 1, Integer::sum);
            }
        }
        return counts;
    }
}
