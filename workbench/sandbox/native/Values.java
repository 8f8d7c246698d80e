package grader;

import java.lang.reflect.Array;
import java.lang.reflect.GenericArrayType;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.lang.reflect.TypeVariable;
import java.lang.reflect.WildcardType;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.AbstractMap.SimpleEntry;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Set;
import java.util.StringJoiner;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Function;

/**
 * Values as JSON, and back as the type that a method declares.
 *
 * Between two JVMs an Integer, a Double, a String and a List are JSON, and everything else is
 * {"$": KIND, "v": ...}. "Plain" is what the same calls in all languages are written in. What is
 * read is built of the JDK's own classes alone, whatever classes were written.
 */
final class Values {
    private static final int DEEPEST = 400;

    private Values() {}

    /** A value that could not be sent: equal to nothing. */
    private static final class Opaque {
        private final String name;

        Opaque(String name) {
            this.name = name;
        }

        @Override
        public String toString() {
            return name;
        }
    }

    // --- writing ---------------------------------------------------------------------------

    static String write(Object value, boolean plain) {
        return write(value, plain, 0);
    }

    private static String write(Object value, boolean plain, int depth) {
        if (depth > DEEPEST) {
            throw new IllegalArgumentException("a value deeper than " + DEEPEST);
        }
        if (value == null || value instanceof Boolean || value instanceof Integer) {
            return String.valueOf(value);
        }
        if (value instanceof String) {
            return Wire.quote((String) value);
        }
        if (value instanceof Character) {
            String quoted = Wire.quote(value.toString());
            return plain ? quoted : tag("char", quoted);
        }
        if (value instanceof Number) {
            return number((Number) value, plain);
        }
        return compound(value, plain, part -> write(part, plain, depth + 1));
    }

    private static String tag(String kind, String body) {
        return "{\"$\":\"" + kind + "\",\"v\":" + body + "}";
    }

    private static String number(Number value, boolean plain) {
        double real = value.doubleValue();
        boolean isFloat = value instanceof Double || value instanceof Float;
        if (plain && isFloat && (Double.isNaN(real) || Double.isInfinite(real))) {
            String name = Double.isNaN(real) ? "nan" : real > 0 ? "inf" : "-inf";
            return "{\"$float\":\"" + name + "\"}";
        }
        String text = value.toString();
        if (plain || value instanceof Double && !Double.isNaN(real) && !Double.isInfinite(real)) {
            return text;
        }
        return tag(value.getClass().getSimpleName(), Wire.quote(text));
    }

    private static String compound(Object value, boolean plain, Function<Object, String> inner) {
        if (value instanceof Set) {
            return tag("set", list((Set<?>) value, inner));
        }
        if (value instanceof Collection) {
            return list((Collection<?>) value, inner);
        }
        if (value.getClass().isArray()) {
            String items = list(items(value), inner);
            return plain ? items : tag("array", items);
        }
        if (value instanceof Map) {
            return map((Map<?, ?>) value, plain, inner);
        }
        if (value instanceof Map.Entry) {
            Map.Entry<?, ?> entry = (Map.Entry<?, ?>) value;
            return tag("entry", list(Arrays.asList(entry.getKey(), entry.getValue()), inner));
        }
        List<Object> optional = optional(value);
        if (optional != null) {
            return tag("optional", list(optional, inner));
        }
        return tag("other", Wire.quote(value.getClass().getName()));
    }

    private static String list(Collection<?> values, Function<Object, String> inner) {
        StringJoiner made = new StringJoiner(",", "[", "]");
        for (Object value : values) {
            made.add(inner.apply(value));
        }
        return made.toString();
    }

    private static String map(Map<?, ?> map, boolean plain, Function<Object, String> inner) {
        StringJoiner made = plain ? new StringJoiner(",", "{", "}") : new StringJoiner(",", "[", "]");
        map.forEach((key, value) -> made.add(plain
                ? Wire.quote(String.valueOf(key)) + ":" + inner.apply(value)
                : "[" + inner.apply(key) + "," + inner.apply(value) + "]"));
        return plain ? made.toString() : tag("map", made.toString());
    }

    private static List<Object> items(Object array) {
        List<Object> made = new ArrayList<>();
        for (int i = 0; i < Array.getLength(array); i++) {
            made.add(Array.get(array, i));
        }
        return made;
    }

    /** Return what any kind of optional holds, as a list of one or none; null for no optional. */
    private static List<Object> optional(Object value) {
        List<Object> held = new ArrayList<>();
        if (value instanceof Optional) {
            ((Optional<?>) value).ifPresent(held::add);
        } else if (value instanceof OptionalInt) {
            ((OptionalInt) value).ifPresent(held::add);
        } else if (value instanceof OptionalLong) {
            ((OptionalLong) value).ifPresent(held::add);
        } else if (value instanceof OptionalDouble) {
            ((OptionalDouble) value).ifPresent(held::add);
        } else {
            return null;
        }
        return held;
    }

    // --- reading ---------------------------------------------------------------------------

    /** Turn parsed JSON into a value of a declared type. */
    static Object read(Object json, boolean plain, Type type) {
        return as(plain ? plain(json) : tagged(json), type);
    }

    private static Object plain(Object json) {
        if (json instanceof List) {
            return each((List<?>) json, Values::plain);
        }
        if (!(json instanceof Map)) {
            return json;
        }
        Map<?, ?> map = (Map<?, ?>) json;
        if (map.containsKey("$float")) {
            String name = String.valueOf(map.get("$float"));
            return name.equals("nan") ? Double.NaN : Double.parseDouble(name.replace("inf", "Infinity"));
        }
        Map<Object, Object> made = new LinkedHashMap<>();
        map.forEach((key, value) -> made.put(key, plain(value)));
        return made;
    }

    private static List<Object> each(List<?> values, Function<Object, Object> change) {
        List<Object> made = new ArrayList<>(values.size());
        for (Object value : values) {
            made.add(change.apply(value));
        }
        return made;
    }

    private static Object tagged(Object json) {
        if (json instanceof List) {
            return each((List<?>) json, Values::tagged);
        }
        if (json instanceof String) {
            return ((String) json).intern(); // a test may compare literals with ==
        }
        if (!(json instanceof Map)) {
            return json;
        }
        Object kind = ((Map<?, ?>) json).get("$");
        Object body = ((Map<?, ?>) json).get("v");
        return body instanceof List
                ? ofKind(String.valueOf(kind), each((List<?>) body, Values::tagged))
                : ofKind(String.valueOf(kind), String.valueOf(body));
    }

    private static Object ofKind(String kind, List<Object> parts) {
        switch (kind) {
            case "array":
                return parts.toArray();
            case "set":
                return new LinkedHashSet<>(parts);
            case "optional":
                return parts.isEmpty() ? Optional.empty() : Optional.of(parts.get(0));
            case "entry":
                return new SimpleEntry<>(parts.get(0), parts.get(1));
            case "map":
                Map<Object, Object> made = new LinkedHashMap<>();
                for (Object pair : parts) {
                    made.put(((List<?>) pair).get(0), ((List<?>) pair).get(1));
                }
                return made;
            default:
                throw new IllegalArgumentException("not a value: " + kind);
        }
    }

    private static Object ofKind(String kind, String text) {
        switch (kind) {
            case "char":
                return text.charAt(0);
            case "Long":
                return Long.valueOf(text);
            case "Short":
                return Short.valueOf(text);
            case "Byte":
                return Byte.valueOf(text);
            case "Float":
                return Float.valueOf(text);
            case "Double":
                return Double.valueOf(text);
            case "BigInteger":
                return new BigInteger(text);
            case "BigDecimal":
                return new BigDecimal(text);
            default:
                return new Opaque(text);
        }
    }

    // --- types -----------------------------------------------------------------------------

    private static ClassCastException mismatch(Object value, Type type) {
        String what = value == null ? "null" : value.getClass().getSimpleName();
        return new ClassCastException(what + " is no " + type.getTypeName());
    }

    /** Turn a value into one of a declared type, where that loses nothing. */
    private static Object as(Object value, Type type) {
        Class<?> raw = raw(type);
        if (value == null) {
            if (raw.isPrimitive() && raw != void.class) {
                throw mismatch(value, type);
            }
            return null;
        }
        if (raw.isArray()) {
            return array(value, type);
        }
        if (Iterable.class.isAssignableFrom(raw)) {
            return collection(value, type, raw);
        }
        if (Map.class.isAssignableFrom(raw)) {
            return map(value, type, raw);
        }
        Object made = value instanceof Number ? number((Number) value, raw) : single(value, type, raw);
        if (made == null) {
            throw mismatch(value, type);
        }
        return made;
    }

    private static Class<?> raw(Type type) {
        if (type instanceof Class) {
            return (Class<?>) type;
        }
        if (type instanceof ParameterizedType) {
            return raw(((ParameterizedType) type).getRawType());
        }
        if (type instanceof GenericArrayType) {
            Type component = ((GenericArrayType) type).getGenericComponentType();
            return Array.newInstance(raw(component), 0).getClass();
        }
        if (type instanceof WildcardType) {
            return raw(((WildcardType) type).getUpperBounds()[0]);
        }
        return raw(((TypeVariable<?>) type).getBounds()[0]);
    }

    /** Return the type argument of that number, Object where there is none. */
    private static Type argument(Type type, int number) {
        if (!(type instanceof ParameterizedType)) {
            return Object.class;
        }
        Type[] arguments = ((ParameterizedType) type).getActualTypeArguments();
        return number < arguments.length ? arguments[number] : Object.class;
    }

    private static Object array(Object value, Type type) {
        Type component = type instanceof GenericArrayType
                ? ((GenericArrayType) type).getGenericComponentType()
                : ((Class<?>) type).getComponentType();
        List<?> items = sequence(value, type);
        Object made = Array.newInstance(raw(component), items.size());
        for (int i = 0; i < items.size(); i++) {
            Array.set(made, i, as(items.get(i), component));
        }
        return made;
    }

    private static List<?> sequence(Object value, Type type) {
        if (value instanceof List) {
            return (List<?>) value;
        }
        if (value instanceof Object[]) {
            return Arrays.asList((Object[]) value);
        }
        throw mismatch(value, type);
    }

    private static Object collection(Object value, Type type, Class<?> raw) {
        boolean isSet = value instanceof Set;
        if (isSet ? !raw.isAssignableFrom(Set.class) && !Set.class.isAssignableFrom(raw)
                : Set.class.isAssignableFrom(raw)) {
            throw mismatch(value, type);
        }
        Collection<Object> made = emptyCollection(raw, isSet);
        Collection<?> items = isSet ? (Set<?>) value : sequence(value, type);
        for (Object item : items) {
            made.add(as(item, argument(type, 0)));
        }
        return made;
    }

    private static Collection<Object> emptyCollection(Class<?> raw, boolean isSet) {
        if (!raw.isInterface()) {
            @SuppressWarnings("unchecked")
            Collection<Object> made = (Collection<Object>) make(raw);
            return made;
        }
        if (isSet) {
            return raw.isAssignableFrom(LinkedHashSet.class) ? new LinkedHashSet<>() : new TreeSet<>();
        }
        return raw.isAssignableFrom(ArrayList.class) ? new ArrayList<>() : new ArrayDeque<>();
    }

    private static Object map(Object value, Type type, Class<?> raw) {
        if (!(value instanceof Map)) {
            throw mismatch(value, type);
        }
        @SuppressWarnings("unchecked")
        Map<Object, Object> made = !raw.isInterface() ? (Map<Object, Object>) make(raw)
                : raw.isAssignableFrom(LinkedHashMap.class) ? new LinkedHashMap<>() : new TreeMap<>();
        ((Map<?, ?>) value).forEach(
                (key, part) -> made.put(as(key, argument(type, 0)), as(part, argument(type, 1))));
        return made;
    }

    /** Make an empty collection of a class of the JDK: LinkedList, HashMap, PriorityQueue, ... */
    private static Object make(Class<?> raw) {
        try {
            return raw.getConstructor().newInstance();
        } catch (ReflectiveOperationException error) {
            throw mismatch(Collections.emptyList(), raw);
        }
    }

    private static Object number(Number value, Class<?> raw) {
        if (raw.isInstance(value)) {
            return value;
        }
        if (raw == double.class || raw == Double.class) {
            return value.doubleValue();
        }
        if (raw == float.class || raw == Float.class) {
            return value.floatValue();
        }
        if (raw == BigDecimal.class) {
            return new BigDecimal(value.toString());
        }
        return value instanceof Double || value instanceof Float || value instanceof BigDecimal
                ? null : whole(new BigInteger(value.toString()), raw);
    }

    /** Return a whole number as a type that holds it; ArithmeticException where it does not fit. */
    private static Object whole(BigInteger value, Class<?> raw) {
        if (raw == int.class || raw == Integer.class) {
            return value.intValueExact();
        }
        if (raw == long.class || raw == Long.class) {
            return value.longValueExact();
        }
        if (raw == short.class || raw == Short.class) {
            return value.shortValueExact();
        }
        if (raw == byte.class || raw == Byte.class) {
            return value.byteValueExact();
        }
        return raw == BigInteger.class ? value : null;
    }

    private static Object single(Object value, Type type, Class<?> raw) {
        if (value instanceof Optional) {
            return optional((Optional<?>) value, type, raw);
        }
        if (value instanceof Map.Entry && raw == Map.Entry.class) {
            Map.Entry<?, ?> entry = (Map.Entry<?, ?>) value;
            return new SimpleEntry<>(
                    as(entry.getKey(), argument(type, 0)), as(entry.getValue(), argument(type, 1)));
        }
        if (raw.isInstance(value) || raw == boolean.class && value instanceof Boolean) {
            return value;
        }
        if (raw == char.class || raw == Character.class) {
            String text = value.toString();
            return (value instanceof String || value instanceof Character) && text.length() == 1
                    ? text.charAt(0) : null;
        }
        return null;
    }

    private static Object optional(Optional<?> value, Type type, Class<?> raw) {
        Object held = value.orElse(null);
        if (raw == OptionalInt.class) {
            return held == null ? OptionalInt.empty() : OptionalInt.of((Integer) as(held, int.class));
        }
        if (raw == OptionalLong.class) {
            return held == null ? OptionalLong.empty() : OptionalLong.of((Long) as(held, long.class));
        }
        if (raw == OptionalDouble.class) {
            return held == null
                    ? OptionalDouble.empty() : OptionalDouble.of((Double) as(held, double.class));
        }
        if (!raw.isAssignableFrom(Optional.class)) {
            return null;
        }
        return held == null ? value : Optional.of(as(held, argument(type, 0)));
    }
}
