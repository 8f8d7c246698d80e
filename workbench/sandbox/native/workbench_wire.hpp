// How a C++ program talks to the workbench: values as JSON, the server and the checker.
//
// A value is written by Wire<T>::put and read by Wire<T>::get, T being the type that the function
// declares: reading never recurses deeper than the type, so that no answer can exhaust the stack.
// See workbench/sandbox/runtimes.py for the frames. The linker puts `__wrap_main` in the place of
// `main` (--wrap=main), so that a program under test may have a main of its own.
#ifndef WORKBENCH_WIRE_HPP
#define WORKBENCH_WIRE_HPP

#include <bits/stdc++.h>
#include <cxxabi.h>
#include <unistd.h>
#if __has_include(<boost/any.hpp>)
#include <boost/any.hpp>
#endif

namespace workbench {

constexpr int incoming = 3;
constexpr int outgoing = 4;
constexpr int verdict = 5;
constexpr std::size_t longest_message = 1000;
constexpr std::size_t largest_frame = std::size_t(64) << 20;

// --- frames --------------------------------------------------------------------------------

// Read exactly `size` bytes; false at the end of the stream.
inline bool read_all(int descriptor, char* data, std::size_t size) {
    while (size > 0) {
        const ssize_t count = ::read(descriptor, data, size);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return false;
        data += count;
        size -= static_cast<std::size_t>(count);
    }
    return true;
}

inline bool write_all(int descriptor, const char* data, std::size_t size) {
    while (size > 0) {
        const ssize_t count = ::write(descriptor, data, size);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return false;
        data += count;
        size -= static_cast<std::size_t>(count);
    }
    return true;
}

inline bool read_frame(int descriptor, std::string& body) {
    unsigned char head[4];
    if (!read_all(descriptor, reinterpret_cast<char*>(head), 4)) return false;
    const std::size_t size = (std::size_t(head[0]) << 24) | (std::size_t(head[1]) << 16) |
                             (std::size_t(head[2]) << 8) | std::size_t(head[3]);
    if (size > largest_frame) return false;
    body.resize(size);
    return read_all(descriptor, &body[0], size);
}

inline bool write_frame(int descriptor, const std::string& body) {
    const std::size_t size = body.size();
    std::string frame;
    frame.reserve(size + 4);
    for (int shift = 24; shift >= 0; shift -= 8) frame += static_cast<char>((size >> shift) & 255);
    frame += body;
    return write_all(descriptor, frame.data(), frame.size());
}

// --- JSON ----------------------------------------------------------------------------------

struct BadValue : std::runtime_error {
    using std::runtime_error::runtime_error;
};

inline void put_escape(std::string& out, unsigned code) {
    char text[8];
    std::snprintf(text, sizeof text, "\\u%04x", code & 0xffffu);
    out += text;
}

// The length of the UTF-8 sequence that begins here (RFC 3629), 0 where there is none.
inline std::size_t utf8_length(const std::string& text, std::size_t at) {
    const auto byte = [&](std::size_t i) {
        return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
    };
    const unsigned first = byte(at);
    const std::size_t length = first >= 0xc2 && first < 0xe0   ? 2
                               : first >= 0xe0 && first < 0xf0 ? 3
                               : first >= 0xf0 && first < 0xf5 ? 4
                                                               : 0;
    for (std::size_t i = 1; i < length; ++i)
        if ((byte(at + i) & 0xc0) != 0x80) return 0;
    if (length == 3) {
        const unsigned code = (first & 15) << 12 | (byte(at + 1) & 63) << 6;
        if (code < 0x800 || (code >= 0xd800 && code < 0xe000)) return 0;
    }
    if (length == 4) {
        const unsigned code = (first & 7) << 18 | (byte(at + 1) & 63) << 12;
        if (code < 0x10000 || code >= 0x110000) return 0;
    }
    return length;
}

// Bytes that are no UTF-8 become lone surrogates, as Python's "surrogateescape" has it, so that
// a string of any bytes survives the way there and back.
inline void put_text(std::string& out, const std::string& text) {
    out += '"';
    for (std::size_t at = 0; at < text.size();) {
        const unsigned char byte = static_cast<unsigned char>(text[at]);
        if (byte >= 0x80) {
            const std::size_t length = utf8_length(text, at);
            if (length == 0) put_escape(out, 0xdc00u + byte);
            else out.append(text, at, length);
            at += length == 0 ? 1 : length;
            continue;
        }
        if (byte == '"' || byte == '\\') (out += '\\') += static_cast<char>(byte);
        else if (byte < 0x20) put_escape(out, byte);
        else out += static_cast<char>(byte);
        ++at;
    }
    out += '"';
}

struct Reader {
    const char* at;
    const char* end;

    explicit Reader(const std::string& text) : at(text.data()), end(text.data() + text.size()) {}

    char peek() {
        while (at < end && (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r')) ++at;
        return at < end ? *at : '\0';
    }
    bool take(char wanted) {
        if (peek() != wanted) return false;
        ++at;
        return true;
    }
    void expect(char wanted) {
        if (!take(wanted)) throw BadValue(std::string("expected ") + wanted);
    }
    bool take_word(const char* word) {
        peek();
        const std::size_t length = std::strlen(word);
        if (static_cast<std::size_t>(end - at) < length || std::memcmp(at, word, length) != 0)
            return false;
        at += length;
        return true;
    }
    unsigned hex4() {
        if (end - at < 4) throw BadValue("cut escape");
        unsigned code = 0;
        for (int i = 0; i < 4; ++i) {
            const char digit = *at++;
            if (!std::isxdigit(static_cast<unsigned char>(digit))) throw BadValue("bad escape");
            code = code * 16 + static_cast<unsigned>(
                std::isdigit(static_cast<unsigned char>(digit)) ? digit - '0' : (digit | 32) - 'a' + 10);
        }
        return code;
    }
    void escape(std::string& out) {
        if (at >= end) throw BadValue("cut escape");
        static const std::map<char, char> plain{{'n', '\n'}, {'t', '\t'}, {'r', '\r'},
                                                {'b', '\b'}, {'f', '\f'}};
        const char kind = *at++;
        if (kind != 'u') {
            const auto found = plain.find(kind);
            out += found == plain.end() ? kind : found->second;
            return;
        }
        unsigned code = hex4();
        if (code >= 0xdc80 && code <= 0xdcff) {
            out += static_cast<char>(code - 0xdc00);
            return;
        }
        if (code >= 0xd800 && code < 0xdc00 && end - at >= 6 && at[0] == '\\' && at[1] == 'u') {
            at += 2;
            code = 0x10000 + ((code - 0xd800) << 10) + (hex4() - 0xdc00);
        }
        if (code < 0x80) out += static_cast<char>(code);
        else if (code < 0x800) (out += static_cast<char>(0xc0 | code >> 6)) += tail(code);
        else if (code < 0x10000)
            ((out += static_cast<char>(0xe0 | code >> 12)) += tail(code >> 6)) += tail(code);
        else
            (((out += static_cast<char>(0xf0 | code >> 18)) += tail(code >> 12)) += tail(code >> 6)) +=
                tail(code);
    }
    static char tail(unsigned code) { return static_cast<char>(0x80 | (code & 63)); }

    std::string text() {
        expect('"');
        std::string out;
        while (at < end && *at != '"') {
            if (*at == '\\') {
                ++at;
                escape(out);
            } else {
                out += *at++;
            }
        }
        if (at >= end) throw BadValue("cut string");
        ++at;
        return out;
    }
    std::string number() {
        peek();
        const char* start = at;
        while (at < end && (std::isalnum(static_cast<unsigned char>(*at)) || *at == '-' ||
                            *at == '+' || *at == '.'))
            ++at;
        return std::string(start, at);
    }
};

// --- values --------------------------------------------------------------------------------

template <class T, class = void>
struct Wire;  // No definition: a type that cannot be sent does not compile.

template <class T>
void put(std::string& out, const T& value) {
    Wire<std::decay_t<T>>::put(out, value);
}

template <>
struct Wire<bool> {
    static void put(std::string& out, bool value) { out += value ? "true" : "false"; }
    static bool get(Reader& in) {
        if (in.take_word("true")) return true;
        if (in.take_word("false")) return false;
        throw BadValue("expected a bool");
    }
};

template <>
struct Wire<char> {
    static void put(std::string& out, char value) { put_text(out, std::string(1, value)); }
    static char get(Reader& in) {
        const std::string text = in.text();
        if (text.size() != 1) throw BadValue("expected one character");
        return text[0];
    }
};

template <class T>
struct Wire<T, std::enable_if_t<std::is_integral_v<T>>> {
    static void put(std::string& out, T value) { out += std::to_string(value); }
    static T get(Reader& in) {
        const std::string text = in.number();
        T value{};
        const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (error == std::errc::result_out_of_range)
            throw BadValue(text + " does not fit into the type");
        if (error != std::errc() || stop != text.data() + text.size() || text.empty())
            throw BadValue("expected an integer");
        return value;
    }
};

template <class T>
struct Wire<T, std::enable_if_t<std::is_floating_point_v<T>>> {
    static void put(std::string& out, T value) {
        if (!std::isfinite(value)) {
            out += "{\"$float\":\"";
            out += std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
            out += "\"}";
            return;
        }
        // The shortest text that reads back as the same number, as a float is 0.1 and not
        // 0.100000001 where a candidate takes a double.
        char text[64];
        const auto written = std::to_chars(text, text + sizeof text, value);
        out.append(text, written.ptr);
    }
    static T get(Reader& in) {
        if (in.take('{')) {
            if (in.text() != "$float") throw BadValue("expected a number");
            in.expect(':');
            const std::string name = in.text();
            in.expect('}');
            const T infinity = std::numeric_limits<T>::infinity();
            return name == "nan" ? std::numeric_limits<T>::quiet_NaN()
                                 : name == "inf" ? infinity : -infinity;
        }
        const std::string text = in.number();
        char* stop = nullptr;
        const long double value = std::strtold(text.c_str(), &stop);
        if (text.empty() || *stop != '\0') throw BadValue("expected a number");
        return static_cast<T>(value);
    }
};

template <>
struct Wire<std::string> {
    static void put(std::string& out, const std::string& value) { put_text(out, value); }
    static std::string get(Reader& in) { return in.text(); }
};

// Whoever takes a pointer into a string must find it alive as long as the program runs.
inline const std::string& kept(std::string text) {
    static std::deque<std::string> all;
    all.push_back(std::move(text));
    return all.back();
}

template <>
struct Wire<std::string_view> {
    static void put(std::string& out, std::string_view value) { put_text(out, std::string(value)); }
    static std::string_view get(Reader& in) { return kept(in.text()); }
};
template <>
struct Wire<const char*> {
    static void put(std::string& out, const char* value) { put_text(out, value ? value : ""); }
    static const char* get(Reader& in) { return kept(in.text()).c_str(); }
};
template <>
struct Wire<char*> {
    static void put(std::string& out, const char* value) { put_text(out, value ? value : ""); }
    static char* get(Reader& in) { return const_cast<char*>(kept(in.text()).c_str()); }
};

// Read the items of a JSON list with `item`, which is called before each of them.
template <class F>
void get_items(Reader& in, F item) {
    in.expect('[');
    if (in.take(']')) return;
    do item();
    while (in.take(','));
    in.expect(']');
}

template <class C>
struct WireList {
    using Item = std::decay_t<typename C::value_type>;
    static void put(std::string& out, const C& values) {
        out += '[';
        bool first = true;
        for (const auto& value : values) {
            if (!first) out += ',';
            first = false;
            Wire<Item>::put(out, value);
        }
        out += ']';
    }
    static C get(Reader& in) {
        C values;
        get_items(in, [&] { values.insert(values.end(), Wire<Item>::get(in)); });
        return values;
    }
};
template <class... X>
struct Wire<std::vector<X...>> : WireList<std::vector<X...>> {};
template <class... X>
struct Wire<std::deque<X...>> : WireList<std::deque<X...>> {};
template <class... X>
struct Wire<std::list<X...>> : WireList<std::list<X...>> {};
template <class... X>
struct Wire<std::set<X...>> : WireList<std::set<X...>> {};
template <class... X>
struct Wire<std::multiset<X...>> : WireList<std::multiset<X...>> {};
template <class... X>
struct Wire<std::unordered_set<X...>> : WireList<std::unordered_set<X...>> {};

template <class T, std::size_t N>
struct Wire<std::array<T, N>> {
    static void put(std::string& out, const std::array<T, N>& values) {
        WireList<std::vector<T>>::put(out, std::vector<T>(values.begin(), values.end()));
    }
    static std::array<T, N> get(Reader& in) {
        std::array<T, N> values{};
        std::size_t count = 0;
        get_items(in, [&] {
            if (count == N) throw BadValue("too many items");
            values[count++] = Wire<T>::get(in);
        });
        if (count != N) throw BadValue("too few items");
        return values;
    }
};

// Maps from text are JSON objects; other maps are lists of pairs.
template <class C>
struct WireMap {
    using Key = typename C::key_type;
    using Item = typename C::mapped_type;
    static constexpr bool named = std::is_same_v<Key, std::string> || std::is_same_v<Key, char>;
    static void put(std::string& out, const C& values) {
        out += named ? '{' : '[';
        bool first = true;
        for (const auto& [key, value] : values) {
            if (!first) out += ',';
            first = false;
            if (!named) out += '[';
            Wire<Key>::put(out, key);
            out += named ? ':' : ',';
            Wire<Item>::put(out, value);
            if (!named) out += ']';
        }
        out += named ? '}' : ']';
    }
    static void get_item(Reader& in, C& values) {
        if (!named) in.expect('[');
        Key key = Wire<Key>::get(in);
        in.expect(named ? ':' : ',');
        values.insert({std::move(key), Wire<Item>::get(in)});
        if (!named) in.expect(']');
    }
    static C get(Reader& in) {
        C values;
        if (!named) {
            get_items(in, [&] { get_item(in, values); });
            return values;
        }
        in.expect('{');
        if (in.take('}')) return values;
        do get_item(in, values);
        while (in.take(','));
        in.expect('}');
        return values;
    }
};
template <class... X>
struct Wire<std::map<X...>> : WireMap<std::map<X...>> {};
template <class... X>
struct Wire<std::multimap<X...>> : WireMap<std::multimap<X...>> {};
template <class... X>
struct Wire<std::unordered_map<X...>> : WireMap<std::unordered_map<X...>> {};

template <class... T>
struct Wire<std::tuple<T...>> {
    static void put(std::string& out, const std::tuple<T...>& values) {
        out += '[';
        bool first = true;
        std::apply(
            [&](const T&... value) {
                ((out += first ? "" : ",", first = false,
                  Wire<std::decay_t<T>>::put(out, value)), ...);
            },
            values);
        out += ']';
    }
    static std::tuple<T...> get(Reader& in) {
        in.expect('[');
        bool first = true;
        // A braced list is read from left to right (C++ standard, dcl.init.list).
        std::tuple<T...> values{next<T>(in, first)...};
        in.expect(']');
        return values;
    }
    template <class U>
    static std::decay_t<U> next(Reader& in, bool& first) {
        if (!first) in.expect(',');
        first = false;
        return Wire<std::decay_t<U>>::get(in);
    }
};
template <class A, class B>
struct Wire<std::pair<A, B>> {
    static void put(std::string& out, const std::pair<A, B>& value) {
        Wire<std::tuple<A, B>>::put(out, std::tuple<A, B>(value.first, value.second));
    }
    static std::pair<A, B> get(Reader& in) {
        auto [first, second] = Wire<std::tuple<A, B>>::get(in);
        return {std::move(first), std::move(second)};
    }
};

template <class T>
struct Wire<std::optional<T>> {
    static void put(std::string& out, const std::optional<T>& value) {
        if (value) Wire<T>::put(out, *value);
        else out += "null";
    }
    static std::optional<T> get(Reader& in) {
        if (in.take_word("null")) return std::nullopt;
        return Wire<T>::get(in);
    }
};

// A value of any type goes as [type, value]; the types are those of this list.
using Anything = std::tuple<bool, char, int, long, long long, unsigned, unsigned long, float, double,
                            std::string, const char*, std::vector<int>, std::vector<double>,
                            std::vector<std::string>>;

template <class Any>
struct WireAny {
    static void put(std::string& out, const Any& value) {
        const bool found = put_one(out, value, std::make_index_sequence<std::tuple_size_v<Anything>>());
        if (!found) out += "null";
    }
    template <std::size_t... I>
    static bool put_one(std::string& out, const Any& value, std::index_sequence<I...>) {
        return (put_as<I>(out, value) || ...);
    }
    template <std::size_t I>
    static bool put_as(std::string& out, const Any& value) {
        using std::any_cast;
        using T = std::tuple_element_t<I, Anything>;
        if (value.type() != typeid(T)) return false;
        out += "[" + std::to_string(I) + ",";
        Wire<T>::put(out, any_cast<T>(value));
        out += ']';
        return true;
    }
    static Any get(Reader& in) {
        Any value;
        if (in.take_word("null")) return value;
        in.expect('[');
        const int type = Wire<int>::get(in);
        in.expect(',');
        get_one(in, type, value, std::make_index_sequence<std::tuple_size_v<Anything>>());
        in.expect(']');
        return value;
    }
    template <std::size_t... I>
    static void get_one(Reader& in, int type, Any& value, std::index_sequence<I...>) {
        const bool found = ((type == static_cast<int>(I) &&
                             (value = Wire<std::tuple_element_t<I, Anything>>::get(in), true)) || ...);
        if (!found) throw BadValue("a value of an unknown type");
    }
};
template <>
struct Wire<std::any> : WireAny<std::any> {};
#if __has_include(<boost/any.hpp>)
template <>
struct Wire<boost::any> : WireAny<boost::any> {};
#endif

// --- the server ----------------------------------------------------------------------------

using Handler = std::function<void(Reader&, std::string&)>;

inline std::map<std::string, Handler>& handlers() {
    static std::map<std::string, Handler> all;
    return all;
}

// Read the arguments as the types A, call `function` with them and write what it returns.
template <class R, class... A, class F>
void call(Reader& in, std::string& out, F&& function) {
    std::tuple<std::decay_t<A>...> values = Wire<std::tuple<std::decay_t<A>...>>::get(in);
    const auto forwarded = [&](std::decay_t<A>&... value) -> decltype(auto) {
        return function(static_cast<A&&>(value)...);
    };
    if constexpr (std::is_void_v<R>) {
        std::apply(forwarded, values);
        out += "null";
    } else {
        workbench::put<std::decay_t<R>>(out, std::apply(forwarded, values));
    }
}

// Serve the function, or the method, that takes exactly the types A: of an overloaded name, that
// one. A method is called on an object of its own.
template <class... A>
struct Taking {
    template <class R>
    static Handler serve(R (*function)(A...)) {
        return [=](Reader& in, std::string& out) { call<R, A...>(in, out, function); };
    }
    template <class R, class C>
    static Handler serve(R (C::*method)(A...)) {
        return on_object<R, C>(method);
    }
    template <class R, class C>
    static Handler serve(R (C::*method)(A...) const) {
        return on_object<R, C>(method);
    }
    template <class R, class C, class M>
    static Handler on_object(M method) {
        return [=](Reader& in, std::string& out) {
            C object{};
            call<R, A...>(in, out, [&](A... value) -> R {
                return (object.*method)(static_cast<A&&>(value)...);
            });
        };
    }
};

// For functions whose address says too little (overloads, templates, default values): the types
// of the arguments are given, and `function` is anything that can be called with them.
template <class... A, class F>
Handler typed(F function) {
    using R = decltype(function(std::declval<std::decay_t<A>&>()...));
    return [=](Reader& in, std::string& out) {
        call<R, std::decay_t<A>&...>(in, out, function);
    };
}

struct Serve {
    Serve(const char* name, Handler made) { handlers()[name] = std::move(made); }
};

inline std::string type_name(const std::type_info& type) {
    int status = 0;
    char* name = abi::__cxa_demangle(type.name(), nullptr, nullptr, &status);
    std::string text = status == 0 && name ? name : type.name();
    std::free(name);
    return text;
}

inline std::string raised(const std::string& type, const std::string& message) {
    std::string out = "{\"raise\":";
    put_text(out, type);
    out += ",\"message\":";
    put_text(out, message);
    return out + "}";
}

inline std::string answer(const std::string& request) {
    std::string out = "{\"value\":";
    try {
        Reader in(request);
        in.expect('{');
        if (in.text() != "call") throw BadValue("expected a call");
        in.expect(':');
        const auto found = handlers().find(in.text());
        if (found == handlers().end()) throw BadValue("no function of that name");
        in.expect(',');
        if (in.text() != "args") throw BadValue("expected arguments");
        in.expect(':');
        found->second(in, out);
        return out + "}";
    } catch (const std::bad_alloc&) {
        return raised("std::bad_alloc", "out of memory");
    } catch (const std::exception& error) {
        return raised(type_name(typeid(error)), error.what());
    } catch (...) {
        const std::type_info* type = abi::__cxa_current_exception_type();
        return raised(type ? type_name(*type) : "exception", "");
    }
}

inline int serve() {
    std::string request;
    while (read_frame(incoming, request))
        if (!write_frame(outgoing, answer(request))) break;
    std::fflush(nullptr);
    ::_exit(0);
}

// --- the checker ---------------------------------------------------------------------------

[[noreturn]] inline void fail(const char* kind, const std::string& message) {
    std::string out = "{\"failed\":";
    put_text(out, kind);
    out += ",\"message\":";
    put_text(out, message.substr(0, longest_message));
    write_frame(verdict, out + "}");
    ::_exit(1);
}

struct Raised : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Ask the server for what the function `name` returns for these arguments.
template <class R, class... A>
R remote(const char* name, const A&... values) {
    std::string request = "{\"call\":";
    put_text(request, name);
    request += ",\"args\":";
    Wire<std::tuple<std::decay_t<A>...>>::put(request, std::tuple<std::decay_t<A>...>(values...));
    request += '}';
    std::string reply;
    if (!write_frame(outgoing, request) || !read_frame(incoming, reply))
        fail("exception", "the program ended before it answered");
    std::string raise;
    try {
        Reader in(reply);
        in.expect('{');
        const std::string kind = in.text();
        in.expect(':');
        if (kind == "value") {
            if constexpr (std::is_void_v<R>) return;
            else return Wire<std::decay_t<R>>::get(in);
        }
        raise = in.text();
        in.expect(',');
        in.text();
        in.expect(':');
        raise += ": " + in.text();
    } catch (const BadValue& error) {
        fail("wrong answer", std::string("the answer is of another type: ") + error.what());
    }
    throw Raised(raise);
}

// Run the tests' own main; they have passed when it returns 0.
inline int check(int (*tests)()) {
    std::signal(SIGPIPE, SIG_IGN);  // the program may be gone before it is asked
    int code = 1;
    try {
        code = tests();
    } catch (const std::exception& error) {
        fail("exception", error.what());
    } catch (...) {
        fail("exception", "the tests threw something");
    }
    if (code != 0) fail("wrong answer", "the tests returned " + std::to_string(code));
    write_frame(verdict, "{\"passed\":true}");
    std::fflush(nullptr);
    ::_exit(0);
}

}  // namespace workbench

#endif
