package grader;

import java.io.DataInputStream;
import java.io.EOFException;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.lang.reflect.Field;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Frames and JSON, for both ends of the wire (see workbench/sandbox/runtimes.py).
 *
 * Parsed JSON is null, Boolean, String, List, Map, and for numbers the narrowest of Integer, Long
 * and BigInteger, or Double where there is a point or an exponent.
 */
final class Wire {
    private static final int LONGEST = 64 << 20; // bytes of a frame
    private static final int DEEPEST = 1000; // lists in lists

    private final String text;
    private int at;
    private int depth;

    private Wire(String text) {
        this.text = text;
    }

    static DataInputStream input(int number) {
        return new DataInputStream(new FileInputStream(descriptor(number)));
    }

    static OutputStream output(int number) {
        return new FileOutputStream(descriptor(number));
    }

    /** A descriptor by its number: /dev/fd may not be there. Needs java.io to be open. */
    private static FileDescriptor descriptor(int number) {
        try {
            FileDescriptor made = new FileDescriptor();
            Field field = FileDescriptor.class.getDeclaredField("fd");
            field.setAccessible(true);
            field.setInt(made, number);
            return made;
        } catch (ReflectiveOperationException error) {
            throw new IllegalStateException(error);
        }
    }

    /** Return the next frame, or null at the end. */
    static Object read(DataInputStream in) throws IOException {
        int length;
        try {
            length = in.readInt();
        } catch (EOFException end) {
            return null;
        }
        if (length < 0 || length > LONGEST) {
            throw new IOException("a frame of " + (length & 0xffffffffL) + " bytes");
        }
        byte[] body = new byte[length];
        in.readFully(body);
        return parse(new String(body, StandardCharsets.UTF_8));
    }

    static void write(OutputStream out, String text) throws IOException {
        byte[] body = text.getBytes(StandardCharsets.UTF_8);
        byte[] frame = new byte[4 + body.length];
        for (int i = 0; i < 4; i++) {
            frame[i] = (byte) (body.length >>> (24 - 8 * i));
        }
        System.arraycopy(body, 0, frame, 4, body.length);
        out.write(frame);
        out.flush();
    }

    /** Write a string as JSON, in ASCII. */
    static String quote(String value) {
        StringBuilder made = new StringBuilder(value.length() + 2).append('"');
        for (int i = 0; i < value.length(); i++) {
            char c = value.charAt(i);
            if (c == '"' || c == '\\') {
                made.append('\\').append(c);
            } else if (c < ' ' || c > '~') {
                made.append(String.format("\\u%04x", (int) c));
            } else {
                made.append(c);
            }
        }
        return made.append('"').toString();
    }

    static Object parse(String text) {
        Wire wire = new Wire(text);
        Object value = wire.value();
        wire.blanks();
        if (wire.at < text.length()) {
            throw wire.bad();
        }
        return value;
    }

    private IllegalArgumentException bad() {
        return new IllegalArgumentException("no JSON at character " + at);
    }

    private void blanks() {
        while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) {
            at++;
        }
    }

    private boolean take(char wanted) {
        blanks();
        if (at < text.length() && text.charAt(at) == wanted) {
            at++;
            return true;
        }
        return false;
    }

    private void need(char wanted) {
        if (!take(wanted)) {
            throw bad();
        }
    }

    private boolean takeWord(String word) {
        if (text.startsWith(word, at)) {
            at += word.length();
            return true;
        }
        return false;
    }

    private Object value() {
        if (++depth > DEEPEST) {
            throw new IllegalArgumentException("JSON deeper than " + DEEPEST);
        }
        Object value = anything();
        depth--;
        return value;
    }

    private Object anything() {
        blanks();
        if (take('[')) {
            return list();
        }
        if (take('{')) {
            return map();
        }
        if (take('"')) {
            return string();
        }
        if (takeWord("null")) {
            return null;
        }
        if (takeWord("true")) {
            return true;
        }
        return takeWord("false") ? (Object) false : number();
    }

    private List<Object> list() {
        List<Object> made = new ArrayList<>();
        if (take(']')) {
            return made;
        }
        do {
            made.add(value());
        } while (take(','));
        need(']');
        return made;
    }

    private Map<String, Object> map() {
        Map<String, Object> made = new LinkedHashMap<>();
        if (take('}')) {
            return made;
        }
        do {
            need('"');
            String key = string();
            need(':');
            made.put(key, value());
        } while (take(','));
        need('}');
        return made;
    }

    private String string() {
        StringBuilder made = new StringBuilder();
        while (at < text.length()) {
            char c = text.charAt(at++);
            if (c == '"') {
                return made.toString();
            }
            made.append(c == '\\' ? escaped() : c);
        }
        throw bad();
    }

    private char escaped() {
        if (at >= text.length()) {
            throw bad();
        }
        char c = text.charAt(at++);
        if (c == 'u' && at + 4 <= text.length()) {
            at += 4;
            return (char) Integer.parseInt(text.substring(at - 4, at), 16);
        }
        int which = "\"\\/bfnrt".indexOf(c);
        if (which < 0) {
            throw bad();
        }
        return "\"\\/\b\f\n\r\t".charAt(which);
    }

    private Number number() {
        int start = at;
        while (at < text.length() && "+-.eE0123456789".indexOf(text.charAt(at)) >= 0) {
            at++;
        }
        String digits = text.substring(start, at);
        if (digits.isEmpty()) {
            throw bad();
        }
        if (digits.matches("-?[0-9]+")) {
            return narrow(new BigInteger(digits));
        }
        return Double.valueOf(digits);
    }

    private static Number narrow(BigInteger value) {
        if (value.bitLength() < Integer.SIZE) {
            return value.intValue();
        }
        return value.bitLength() < Long.SIZE ? (Number) value.longValue() : value;
    }
}
