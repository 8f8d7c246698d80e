package grader;

import java.io.DataInputStream;
import java.io.File;
import java.io.OutputStream;
import java.lang.reflect.Constructor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.Type;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** Answers calls of a candidate's methods: Server plain|tagged. It knows of no tests. */
public final class Server {
    private final boolean plain;
    private final List<Class<?>> classes = new ArrayList<>();
    private final Map<Object, Object> objects = new HashMap<>();

    private Server(boolean plain) {
        this.plain = plain;
    }

    public static void main(String[] args) throws Exception {
        Server server = new Server(args[0].equals("plain"));
        DataInputStream in = Wire.input(3);
        OutputStream out = Wire.output(4);
        for (Object call; (call = Wire.read(in)) != null;) {
            Wire.write(out, server.answer((Map<?, ?>) call));
        }
        Runtime.getRuntime().halt(0); // whatever the candidate has still running
    }

    private String answer(Map<?, ?> call) {
        try {
            loadClasses();
            Object value = invoke((String) call.get("call"), (List<?>) call.get("args"), call.get("on"));
            return "{\"value\":" + Values.write(value, plain) + "}";
        } catch (InvocationTargetException error) {
            return raised(error.getCause());
        } catch (Throwable error) {
            return raised(error);
        }
    }

    private static String raised(Throwable error) {
        while (error instanceof ExceptionInInitializerError && error.getCause() != null) {
            error = error.getCause();
        }
        String message = String.valueOf(error.getMessage());
        return "{\"raise\":" + Wire.quote(error.getClass().getName()) + ",\"message\":"
                + Wire.quote(message.substring(0, Math.min(message.length(), 1000))) + "}";
    }

    /** Load the candidate's classes at the first call, and those inside them; Solution leads. */
    private void loadClasses() throws ClassNotFoundException {
        if (!classes.isEmpty()) {
            return;
        }
        String[] files = new File(".").list((folder, name) -> name.matches("[^$]*\\.class"));
        Arrays.sort(files, Comparator.comparing((String name) -> !name.equals("Solution.class"))
                .thenComparing(Comparator.naturalOrder()));
        for (String name : files) {
            addWithInner(Class.forName(name.substring(0, name.length() - ".class".length())));
        }
    }

    private void addWithInner(Class<?> holder) {
        classes.add(holder);
        for (Class<?> inner : holder.getDeclaredClasses()) {
            addWithInner(inner);
        }
    }

    private Object invoke(String name, List<?> args, Object on) throws Exception {
        List<Method> methods = find(name, args.size());
        if (methods.isEmpty()) {
            throw new NoSuchMethodException(name + " with " + args.size() + " arguments");
        }
        RuntimeException problem = null;
        for (Method method : methods) {
            Object[] given;
            try {
                given = given(method.getGenericParameterTypes(), args);
            } catch (ClassCastException | ArithmeticException error) {
                problem = error;
                continue;
            }
            method.setAccessible(true);
            boolean isStatic = Modifier.isStatic(method.getModifiers());
            return method.invoke(isStatic ? null : object(method.getDeclaringClass(), on), given);
        }
        throw problem;
    }

    private Object[] given(Type[] types, List<?> args) {
        Object[] made = new Object[types.length];
        for (int i = 0; i < types.length; i++) {
            made[i] = Values.read(args.get(i), plain, types[i]);
        }
        return made;
    }

    /** Return the methods that may be meant; in plain calls, in any style of writing a name. */
    private List<Method> find(String name, int count) {
        List<Method> exact = new ArrayList<>();
        List<Method> near = new ArrayList<>();
        for (Class<?> holder : classes) {
            for (Method method : holder.getDeclaredMethods()) {
                if (method.isSynthetic() || method.getParameterCount() != count) {
                    continue;
                }
                if (method.getName().equals(name)) {
                    exact.add(method);
                } else if (plain && flat(method.getName()).equals(flat(name))) {
                    near.add(method);
                }
            }
        }
        return exact.isEmpty() ? near : exact;
    }

    private static String flat(String name) {
        return name.replace("_", "").toLowerCase(Locale.ROOT);
    }

    /** Return the object to call: the one that the test made, or a new one where it made none. */
    private Object object(Class<?> holder, Object on) throws Exception {
        if (on != null && objects.containsKey(on)) {
            return objects.get(on);
        }
        Constructor<?> constructor = holder.getDeclaredConstructor();
        constructor.setAccessible(true);
        Object made = constructor.newInstance();
        if (on != null) {
            objects.put(on, made);
        }
        return made;
    }
}
