class Solution {
    static int editDistance(String first, String second) {
        int[][] cost = new int[first.length() + 1][second.length() + 1];
        for (int i = 0; i <= first.length(); i++) {
            for (int j = 0; j <= second.length(); j++) {
                if (i == 0 || j == 0) {
                    cost[i][j] = i + j;
                    continue;
                }
                int change = first.charAt(i - 1) == second.charAt(j - 1) ? 0 : 1;
                int oneMore = Math.min(cost[i - 1][j], cost[i][j - 1]) + 1;
                cost[i][j] = Math.min(oneMore, cost[i - 1][j - 1] + change);
            }
        }
        return cost[first.length()][second.length()];
    }
}
