import java.util.ArrayList;
import java.util.List;
import java.util.PriorityQueue;

class Solution {
    static List<Integer> courseOrder(int count, List<List<Integer>> pairs) {
        int[] missing = new int[count];
        for (List<Integer> pair : pairs) {
            missing[pair.get(1)]++;
        }
        PriorityQueue<Integer> ready = new PriorityQueue<>();
        for (int course = 0; course < count; course++) {
            if (missing[course] == 0) {
                ready.add(course);
            }
        }
        List<Integer> order = new ArrayList<>();
        while (!ready.isEmpty()) {
            int course = ready.remove();
            order.add(course);
            for (List<Integer> pair : pairs) {
                if (pair.get(0) == course && --missing[pair.get(1)] == 0) {
                    ready.add(pair.get(1));
                }
            }
        }
        return order.size() == count ? order : new ArrayList<>();
    }
}
