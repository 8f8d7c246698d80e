package grader;

import java.io.DataInputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.IdentityHashMap;
import java.util.Map;
import java.util.StringJoiner;

/** Runs a test program whose calls are answered by another process: Checker MAIN-CLASS. */
public final class Checker {
    private static final DataInputStream ANSWERS = Wire.input(3);
    private static final OutputStream CALLS = Wire.output(4);
    private static final Map<Object, Integer> OBJECTS = new IdentityHashMap<>();
    private static int answered;

    private Checker() {}

    public static void main(String[] args) {
        try {
            Method test = Class.forName(args[0]).getDeclaredMethod("main", String[].class);
            test.setAccessible(true);
            test.invoke(null, (Object) new String[0]);
        } catch (InvocationTargetException error) {
            fail(error.getCause());
        } catch (Throwable error) {
            fail(error);
        }
        if (answered == 0) {
            fail("exception", "the tests called nothing");
        }
        end("{\"passed\":true}");
    }

    private static void fail(Throwable error) {
        fail(error instanceof AssertionError ? "wrong answer" : "exception", String.valueOf(error));
    }

    private static void fail(String kind, String message) {
        end("{\"failed\":\"" + kind + "\",\"message\":" + Wire.quote(message) + "}");
    }

    /** Say how it went, and end: no test program can catch this. */
    private static void end(String verdict) {
        try {
            Wire.write(Wire.output(5), verdict);
        } catch (IOException error) {
            Runtime.getRuntime().halt(1);
        }
        Runtime.getRuntime().halt(0);
    }

    /** Call a method of the other process; stubs do. What is no answer ends the test. */
    @SuppressWarnings("unchecked")
    public static synchronized <T> T call(Class<?> holder, String name, Object on, Object[] args) {
        Map<?, ?> said = null;
        try {
            said = ask(name, on, args);
            if (!said.containsKey("raise")) {
                Method stub = stub(holder, name, args.length);
                return (T) Values.read(said.get("value"), false, stub.getGenericReturnType());
            }
        } catch (Exception | StackOverflowError error) {
            fail("exception", String.valueOf(error.getMessage()));
        }
        throw Checker.<RuntimeException>raised(
                String.valueOf(said.get("raise")), String.valueOf(said.get("message")));
    }

    private static Map<?, ?> ask(String name, Object on, Object[] args) throws IOException {
        StringJoiner written = new StringJoiner(",", "[", "]");
        for (Object arg : args) {
            written.add(Values.write(arg, false));
        }
        Integer number = on == null ? null : OBJECTS.computeIfAbsent(on, key -> OBJECTS.size());
        Wire.write(CALLS, "{\"call\":" + Wire.quote(name) + ",\"args\":" + written
                + ",\"on\":" + number + "}");
        Map<?, ?> said = (Map<?, ?>) Wire.read(ANSWERS);
        if (said == null) {
            throw new IOException("the program ended before it answered");
        }
        if (!said.containsKey("raise") && !said.containsKey("value")) {
            throw new IOException("the program gave no answer");
        }
        answered++;
        return said;
    }

    private static Method stub(Class<?> holder, String name, int count) {
        for (Method method : holder.getDeclaredMethods()) {
            if (method.getName().equals(name) && method.getParameterCount() == count) {
                return method;
            }
        }
        throw new IllegalArgumentException("no stub of " + name);
    }

    /** Throw what the other process threw, of its class where that is one of the JDK. */
    @SuppressWarnings("unchecked")
    private static <E extends Throwable> RuntimeException raised(String name, String message) throws E {
        Throwable made = new RuntimeException(name + ": " + message);
        try {
            if (name.startsWith("java.")) {
                Class<?> kind = Class.forName(name, false, null);
                made = kind.asSubclass(Exception.class).getConstructor(String.class).newInstance(message);
            }
        } catch (ReflectiveOperationException | ClassCastException | LinkageError error) {
            // It stays a RuntimeException that tells of it.
        }
        throw (E) made;
    }
}
