class Solution {
    private String text;
    private int place;

    long evaluateExpression(String text) {
        this.text = text.replace(" ", "");
        this.place = 0;
        return total();
    }

    private boolean at(String signs) {
        return place < text.length() && signs.indexOf(text.charAt(place)) >= 0;
    }

    private long total() {
        long value = product();
        while (at("+-")) {
            value += text.charAt(place++) == '+' ? product() : -product();
        }
        return value;
    }

    private long product() {
        long value = factor();
        while (at("*")) {
            place++;
            value *= factor();
        }
        return value;
    }

    private long factor() {
        if (at("(")) {
            place++;
            long value = total();
            place++;
            return value;
        }
        int start = place;
        while (at("0123456789")) {
            place++;
        }
        return Long.parseLong(text.substring(start, place));
    }
}
