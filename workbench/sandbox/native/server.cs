// How a C# program answers calls of the workbench: it finds the method, and speaks JSON.
// See workbench/sandbox/runtimes.py for the frames. C# 7 and nothing but the base library, so
// that Mono compiles it too.
namespace Workbench
{
    using System;
    using System.Collections;
    using System.Collections.Generic;
    using System.Globalization;
    using System.Linq;
    using System.Reflection;
    using System.Runtime.InteropServices;
    using System.Text;

    public static class Server
    {
        const int Largest = 64 << 20;
        const int Interrupted = 4;

        // Mono's own streams know no descriptors but the first three.
        [DllImport("libc", SetLastError = true)]
        static extern IntPtr read(int descriptor, byte[] data, IntPtr count);

        [DllImport("libc", SetLastError = true)]
        static extern IntPtr write(int descriptor, byte[] data, IntPtr count);

        public static int Main(string[] arguments)
        {
            byte[] request;
            while ((request = ReadFrame()) != null)
            {
                var answer = Encoding.ASCII.GetBytes(Answer(Encoding.UTF8.GetString(request)));
                var size = answer.Length;
                var head = new[] { (byte)(size >> 24), (byte)(size >> 16), (byte)(size >> 8), (byte)size };
                if (!WriteAll(head) || !WriteAll(answer)) break;
            }
            Console.Out.Flush();
            return 0;
        }

        static byte[] ReadFrame()
        {
            var head = ReadAll(4);
            if (head == null) return null;
            var size = head[0] << 24 | head[1] << 16 | head[2] << 8 | head[3];
            return size < 0 || size > Largest ? null : ReadAll(size);
        }

        static byte[] ReadAll(int size)
        {
            var data = new byte[size];
            var part = new byte[Math.Min(size, 1 << 16)];
            for (var at = 0; at < size;)
            {
                var count = (int)read(3, part, (IntPtr)Math.Min(part.Length, size - at));
                if (count < 0 && Marshal.GetLastWin32Error() == Interrupted) continue;
                if (count <= 0) return null;
                Array.Copy(part, 0, data, at, count);
                at += count;
            }
            return data;
        }

        static bool WriteAll(byte[] data)
        {
            while (data.Length > 0)
            {
                var count = (int)write(4, data, (IntPtr)data.Length);
                if (count < 0 && Marshal.GetLastWin32Error() == Interrupted) continue;
                if (count <= 0) return false;
                data = data.Skip(count).ToArray();
            }
            return true;
        }

        static string Answer(string request)
        {
            try
            {
                var call = (Dictionary<string, object>)new Reader(request).Value();
                var text = new StringBuilder("{\"value\":");
                Writer.Put(text, Call((string)call["call"], (List<object>)call["args"]));
                return text.Append('}').ToString();
            }
            catch (Exception error)
            {
                while (error.InnerException != null &&
                       (error is TargetInvocationException || error is TypeInitializationException))
                    error = error.InnerException;
                var text = new StringBuilder("{\"raise\":");
                Writer.Put(text, error.GetType().Name);
                text.Append(",\"message\":");
                Writer.Put(text, error.Message);
                return text.Append('}').ToString();
            }
        }

        static object Call(string name, List<object> values)
        {
            var method = Find(name, values.Count);
            var target = method.IsStatic ? null : Activator.CreateInstance(method.DeclaringType, true);
            var kinds = method.GetParameters().Select(one => one.ParameterType).ToArray();
            var given = kinds.Select((kind, i) => Values.As(values[i], kind)).ToArray();
            return method.Invoke(target, given);
        }

        // The method of that name, or of the same words in another case; a class Solution first.
        static MethodInfo Find(string name, int count)
        {
            const BindingFlags every = BindingFlags.Public | BindingFlags.NonPublic |
                BindingFlags.Static | BindingFlags.Instance | BindingFlags.DeclaredOnly;
            Func<MethodInfo, bool> fits = one => Words(one.Name) == Words(name) &&
                one.GetParameters().Length == count && !one.ContainsGenericParameters;
            var found = Assembly.GetExecutingAssembly().GetTypes()
                .Where(one => one.Namespace != "Workbench")
                .OrderBy(one => one.Name == "Solution" ? 0 : 1)
                .SelectMany(one => one.GetMethods(every).Where(fits))
                .OrderBy(one => one.Name == name ? 0 : 1)
                .FirstOrDefault();
            if (found == null) throw new MissingMethodException($"no method {name} of {count} values");
            return found;
        }

        // The compiler calls a local function <Main>g__Name|0_0.
        static string Words(string name)
        {
            var start = name.IndexOf("g__", StringComparison.Ordinal);
            if (start >= 0) name = name.Substring(start + 3).Split('|')[0];
            return name.Replace("_", "").ToLowerInvariant();
        }
    }

    // What was read, as the type that a parameter has.
    static class Values
    {
        public static object As(object value, Type kind)
        {
            kind = Nullable.GetUnderlyingType(kind) ?? kind;
            if (kind == typeof(object) || value == null) return Plain(value);
            if (kind == typeof(string)) return (string)value;
            if (kind == typeof(bool)) return (bool)value;
            if (kind == typeof(char)) return ((string)value).Single();
            if (kind == typeof(double) || kind == typeof(float) || kind == typeof(decimal))
                return Convert.ChangeType(Float(value), kind, CultureInfo.InvariantCulture);
            if (kind.IsPrimitive)
                return Convert.ChangeType(decimal.Parse(((Number)value).Text), kind);
            if (kind == typeof(System.Numerics.BigInteger))
                return System.Numerics.BigInteger.Parse(((Number)value).Text);
            if (value is Dictionary<string, object> entries) return AsMap(entries, kind);
            return AsList((List<object>)value, kind);
        }

        static object AsList(List<object> values, Type kind)
        {
            var item = kind.IsArray ? kind.GetElementType() : kind.GetGenericArguments()[0];
            var items = Array.CreateInstance(item, values.Count);
            for (var i = 0; i < values.Count; i++) items.SetValue(As(values[i], item), i);
            if (kind.IsAssignableFrom(items.GetType())) return items;
            var list = typeof(List<>).MakeGenericType(item);
            return Activator.CreateInstance(kind.IsAssignableFrom(list) ? list : kind, items);
        }

        static object AsMap(Dictionary<string, object> entries, Type kind)
        {
            var kinds = kind.GetGenericArguments();
            var made = kind.IsInterface ? typeof(Dictionary<,>).MakeGenericType(kinds) : kind;
            var map = (IDictionary)Activator.CreateInstance(made);
            foreach (var entry in entries) map[As(entry.Key, kinds[0])] = As(entry.Value, kinds[1]);
            return map;
        }

        static double Float(object value)
        {
            if (value is Dictionary<string, object> named)
            {
                var name = (string)named["$float"];
                return name == "nan" ? double.NaN :
                    name == "inf" ? double.PositiveInfinity : double.NegativeInfinity;
            }
            return double.Parse(((Number)value).Text, CultureInfo.InvariantCulture);
        }

        static object Plain(object value)
        {
            if (value is List<object> list) return list.Select(Plain).ToList();
            if (!(value is Number number)) return value;
            long whole;
            if (long.TryParse(number.Text, out whole)) return whole;
            return Float(value);
        }
    }

    sealed class Number
    {
        public readonly string Text;
        public Number(string text) { Text = text; }
    }

    sealed class Reader
    {
        readonly string text;
        int at;

        public Reader(string text) { this.text = text; }

        char Peek()
        {
            while (at < text.Length && char.IsWhiteSpace(text[at])) at++;
            if (at == text.Length) throw new FormatException("cut JSON");
            return text[at];
        }

        bool Take(char wanted)
        {
            if (Peek() != wanted) return false;
            at++;
            return true;
        }

        void Expect(char wanted)
        {
            if (!Take(wanted)) throw new FormatException("expected " + wanted);
        }

        public object Value()
        {
            switch (Peek())
            {
                case '{': return Map();
                case '[': return List();
                case '"': return Text();
            }
            var start = at;
            while (at < text.Length && (char.IsLetterOrDigit(text[at]) || "+-.".IndexOf(text[at]) >= 0)) at++;
            var word = text.Substring(start, at - start);
            return word == "null" ? null : word == "true" ? true : word == "false" ? (object)false : new Number(word);
        }

        List<object> List()
        {
            var values = new List<object>();
            Expect('[');
            if (Take(']')) return values;
            do values.Add(Value()); while (Take(','));
            Expect(']');
            return values;
        }

        Dictionary<string, object> Map()
        {
            var values = new Dictionary<string, object>();
            Expect('{');
            if (Take('}')) return values;
            do
            {
                Peek();
                var key = Text();
                Expect(':');
                values[key] = Value();
            } while (Take(','));
            Expect('}');
            return values;
        }

        string Text()
        {
            Expect('"');
            var made = new StringBuilder();
            for (; text[at] != '"'; at++)
            {
                if (text[at] != '\\')
                {
                    made.Append(text[at]);
                    continue;
                }
                at++;
                var plain = "nrtbf".IndexOf(text[at]);
                if (text[at] == 'u')
                {
                    made.Append((char)Convert.ToInt32(text.Substring(at + 1, 4), 16));
                    at += 4;
                }
                else made.Append(plain < 0 ? text[at] : "\n\r\t\b\f"[plain]);
            }
            at++;
            return made.ToString();
        }
    }

    static class Writer
    {
        public static void Put(StringBuilder text, object value)
        {
            if (value == null) text.Append("null");
            else if (value is string || value is char) PutText(text, value.ToString());
            else if (value is bool) text.Append((bool)value ? "true" : "false");
            else if (value is double || value is float)
                PutFloat(text, Convert.ToDouble(value), ((IFormattable)value).ToString("R", CultureInfo.InvariantCulture));
            else if (value is IDictionary map) PutMap(text, map);
            else if (value is IEnumerable list) PutList(text, list.Cast<object>());
            else if (value.GetType().FullName.StartsWith("System.ValueTuple`") ||
                     value.GetType().FullName.StartsWith("System.Tuple`"))
                PutList(text, Items(value));
            else if (value is IFormattable number)
                text.Append(number.ToString(null, CultureInfo.InvariantCulture));
            else throw new NotSupportedException("a " + value.GetType().Name + " cannot be sent");
        }

        static IEnumerable<object> Items(object tuple)
        {
            var kind = tuple.GetType();
            for (var number = 1; ; number++)
            {
                var field = kind.GetField("Item" + number);
                var property = kind.GetProperty("Item" + number);
                if (field == null && property == null) yield break;
                yield return field != null ? field.GetValue(tuple) : property.GetValue(tuple, null);
            }
        }

        static void PutFloat(StringBuilder text, double value, string shortest)
        {
            if (double.IsNaN(value)) text.Append("{\"$float\":\"nan\"}");
            else if (double.IsInfinity(value)) text.Append(value > 0 ? "{\"$float\":\"inf\"}" : "{\"$float\":\"-inf\"}");
            else text.Append(shortest);
        }

        static void PutList(StringBuilder text, IEnumerable<object> values)
        {
            text.Append('[');
            var first = true;
            foreach (var value in values)
            {
                if (!first) text.Append(',');
                first = false;
                Put(text, value);
            }
            text.Append(']');
        }

        static void PutMap(StringBuilder text, IDictionary map)
        {
            text.Append('{');
            var first = true;
            foreach (DictionaryEntry entry in map)
            {
                if (!first) text.Append(',');
                first = false;
                PutText(text, Convert.ToString(entry.Key, CultureInfo.InvariantCulture));
                text.Append(':');
                Put(text, entry.Value);
            }
            text.Append('}');
        }

        static void PutText(StringBuilder text, string value)
        {
            text.Append('"');
            foreach (var letter in value)
            {
                if (letter == '"' || letter == '\\') text.Append('\\').Append(letter);
                else if (letter < ' ' || letter > '~') text.Append("\\u").Append(((int)letter).ToString("x4"));
                else text.Append(letter);
            }
            text.Append('"');
        }
    }
}
