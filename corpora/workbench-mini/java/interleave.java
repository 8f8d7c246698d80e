import java.util.ArrayList;
import java.util.List;

class Solution {
    static List<Integer> interleave(List<Integer> first, List<Integer> second) {
        List<Integer> mixed = new ArrayList<>();
        for (int i = 0; i < Math.max(first.size(), second.size()); i++) {
            if (i < first.size()) {
                mixed.add(first.get(i));
            }
            if (i < second.size()) {
                mixed.add(second.get(i));
            }
        }
        return mixed;
    }
}
