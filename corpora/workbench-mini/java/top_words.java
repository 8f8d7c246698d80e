import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

class Solution {
    static List<String> topWords(String text, int count) {
        Map<String, Integer> counts = new HashMap<>();
        for (String word : text.split(" +")) {
            if (!word.isEmpty()) {
                counts.merge(word, 1, Integer::sum);
            }
        }
        Comparator<String> byCount = Comparator.comparing(word -> -counts.get(word));
        return counts.keySet().stream()
                .sorted(byCount.thenComparing(Comparator.naturalOrder()))
                .limit(count)
                .collect(Collectors.toList());
    }
}
