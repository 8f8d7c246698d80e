// Package wire is how a Go program talks to the workbench: values as JSON, the server and the
// checker. See workbench/sandbox/runtimes.py for the frames.
//
// Values are read as the types that the function declares. Where that is an interface, a value is
// written with its type, {"$type": T, "$value": V}, unless the other end is no Go (Plain).
package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"reflect"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

const largest = 64 << 20

var (
	// Plain says that the other end is no Go: interfaces hold what plain JSON has.
	Plain    bool
	mutex    sync.Mutex
	incoming = os.NewFile(3, "incoming")
	outgoing = os.NewFile(4, "outgoing")
)

func readFrame() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(incoming, head[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > largest {
		return nil, errors.New("the answer is too large")
	}
	body := make([]byte, size)
	_, err := io.ReadFull(incoming, body)
	return body, err
}

func writeFrame(file *os.File, value interface{}) error {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return err
	}
	frame := make([]byte, 4, 4+body.Len())
	binary.BigEndian.PutUint32(frame, uint32(body.Len()))
	_, err := file.Write(append(frame, body.Bytes()...))
	return err
}

// --- values --------------------------------------------------------------------------------

var basic = map[string]reflect.Type{}

func init() {
	for _, value := range []interface{}{
		false, "", int(0), int8(0), int16(0), int32(0), int64(0), uint(0), uint8(0), uint16(0),
		uint32(0), uint64(0), float32(0), float64(0),
	} {
		basic[reflect.TypeOf(value).String()] = reflect.TypeOf(value)
	}
	basic["interface {}"] = reflect.TypeOf((*interface{})(nil)).Elem()
}

// typeOf returns the type of that name: basic ones, and slices, arrays and maps of such.
func typeOf(name string) (reflect.Type, error) {
	if found, ok := basic[name]; ok {
		return found, nil
	}
	if strings.HasPrefix(name, "map[") {
		depth := 0
		for at, letter := range name[3:] {
			switch letter {
			case '[':
				depth++
			case ']':
				depth--
			}
			if depth == 0 {
				key, err := typeOf(name[4 : at+3])
				if err != nil {
					return nil, err
				}
				item, err := typeOf(name[at+4:])
				if err != nil || !key.Comparable() {
					return nil, fmt.Errorf("no type %s", name)
				}
				return reflect.MapOf(key, item), nil
			}
		}
	}
	if end := strings.IndexByte(name, ']'); strings.HasPrefix(name, "[") && end > 0 {
		item, err := typeOf(name[end+1:])
		if err != nil || end == 1 {
			return reflect.SliceOf(orEmpty(item)), err
		}
		length, err := strconv.Atoi(name[1:end])
		if err != nil || length < 0 || length > 1<<16 {
			return nil, fmt.Errorf("no type %s", name)
		}
		return reflect.ArrayOf(length, item), nil
	}
	return nil, fmt.Errorf("no type %s", name)
}

func orEmpty(item reflect.Type) reflect.Type {
	if item == nil {
		return basic["interface {}"]
	}
	return item
}

// encode returns a value as what encoding/json writes as intended.
func encode(value reflect.Value) (interface{}, error) {
	switch value.Kind() {
	case reflect.Invalid:
		return nil, nil
	case reflect.Bool:
		return value.Bool(), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return value.Int(), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return value.Uint(), nil
	case reflect.Float32, reflect.Float64:
		return encodeFloat(value.Float(), value.Type().Bits()), nil
	case reflect.String:
		if text := value.String(); utf8.ValidString(text) {
			return text, nil
		}
		return map[string]string{"$bytes": base64.StdEncoding.EncodeToString([]byte(value.String()))}, nil
	case reflect.Slice, reflect.Array:
		if value.Kind() == reflect.Slice && value.IsNil() && !Plain {
			return nil, nil
		}
		items := make([]interface{}, value.Len())
		for i := range items {
			item, err := encode(value.Index(i))
			if err != nil {
				return nil, err
			}
			items[i] = item
		}
		return items, nil
	case reflect.Map:
		return encodeMap(value)
	case reflect.Ptr:
		return encode(value.Elem())
	case reflect.Interface:
		if value.IsNil() || Plain {
			return encode(value.Elem())
		}
		item, err := encode(value.Elem())
		return map[string]interface{}{"$type": value.Elem().Type().String(), "$value": item}, err
	case reflect.Struct:
		items := make([]interface{}, value.NumField())
		for i := range items {
			item, err := encode(value.Field(i))
			if err != nil {
				return nil, err
			}
			items[i] = item
		}
		return items, nil
	}
	return nil, fmt.Errorf("a %s cannot be sent", value.Type())
}

func encodeFloat(number float64, bits int) interface{} {
	switch {
	case math.IsNaN(number):
		return map[string]string{"$float": "nan"}
	case math.IsInf(number, 1):
		return map[string]string{"$float": "inf"}
	case math.IsInf(number, -1):
		return map[string]string{"$float": "-inf"}
	}
	return json.Number(strconv.FormatFloat(number, 'g', -1, bits))
}

// encodeMap writes maps from text as objects, and others as lists of pairs.
func encodeMap(value reflect.Value) (interface{}, error) {
	if value.IsNil() && !Plain {
		return nil, nil
	}
	object, pairs := map[string]interface{}{}, make([]interface{}, 0, value.Len())
	for entries := value.MapRange(); entries.Next(); {
		key, err := encode(entries.Key())
		if err != nil {
			return nil, err
		}
		item, err := encode(entries.Value())
		if err != nil {
			return nil, err
		}
		if text, ok := key.(string); ok && value.Type().Key().Kind() == reflect.String {
			object[text] = item
		} else {
			pairs = append(pairs, []interface{}{key, item})
		}
	}
	if value.Type().Key().Kind() == reflect.String && len(pairs) == 0 {
		return object, nil
	}
	return pairs, nil
}

// decode stores what was read into a variable of the type that is wanted.
func decode(data interface{}, into reflect.Value) error {
	wrong := fmt.Errorf("%.40v is no %s", data, into.Type())
	switch into.Kind() {
	case reflect.Bool:
		truth, ok := data.(bool)
		if !ok {
			return wrong
		}
		into.SetBool(truth)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		number, err := strconv.ParseInt(number(data), 10, into.Type().Bits())
		if err != nil {
			return wrong
		}
		into.SetInt(number)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		number, err := strconv.ParseUint(number(data), 10, into.Type().Bits())
		if err != nil {
			return wrong
		}
		into.SetUint(number)
	case reflect.Float32, reflect.Float64:
		text := number(data)
		if object, ok := data.(map[string]interface{}); ok {
			text = fmt.Sprint(object["$float"])
		}
		number, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return wrong
		}
		into.SetFloat(number)
	case reflect.String:
		text, err := decodeText(data)
		if err != nil {
			return wrong
		}
		into.SetString(text)
	case reflect.Slice, reflect.Array:
		return decodeList(data, into, wrong)
	case reflect.Map:
		return decodeMap(data, into, wrong)
	case reflect.Ptr:
		if data == nil {
			into.Set(reflect.Zero(into.Type()))
			return nil
		}
		into.Set(reflect.New(into.Type().Elem()))
		return decode(data, into.Elem())
	case reflect.Interface:
		return decodeAny(data, into)
	case reflect.Struct:
		items, ok := data.([]interface{})
		if !ok || len(items) != into.NumField() {
			return wrong
		}
		for i, item := range items {
			if !into.Field(i).CanSet() {
				return fmt.Errorf("%s has a field that is not exported", into.Type())
			}
			if err := decode(item, into.Field(i)); err != nil {
				return err
			}
		}
	default:
		return wrong
	}
	return nil
}

func number(data interface{}) string {
	if number, ok := data.(json.Number); ok {
		return number.String()
	}
	return ""
}

func decodeText(data interface{}) (string, error) {
	if object, ok := data.(map[string]interface{}); ok {
		code, _ := object["$bytes"].(string)
		text, err := base64.StdEncoding.DecodeString(code)
		return string(text), err
	}
	text, ok := data.(string)
	if !ok {
		return "", errors.New("no text")
	}
	return text, nil
}

func decodeList(data interface{}, into reflect.Value, wrong error) error {
	if data == nil && into.Kind() == reflect.Slice {
		into.Set(reflect.Zero(into.Type()))
		return nil
	}
	items, ok := data.([]interface{})
	if !ok || (into.Kind() == reflect.Array && len(items) != into.Len()) {
		return wrong
	}
	if into.Kind() == reflect.Slice {
		into.Set(reflect.MakeSlice(into.Type(), len(items), len(items)))
	}
	for i, item := range items {
		if err := decode(item, into.Index(i)); err != nil {
			return err
		}
	}
	return nil
}

func decodeMap(data interface{}, into reflect.Value, wrong error) error {
	if data == nil {
		into.Set(reflect.Zero(into.Type()))
		return nil
	}
	pairs, ok := data.([]interface{})
	if object, isObject := data.(map[string]interface{}); isObject {
		ok = true
		for key, item := range object {
			pairs = append(pairs, []interface{}{key, item})
		}
	}
	if !ok {
		return wrong
	}
	into.Set(reflect.MakeMapWithSize(into.Type(), len(pairs)))
	for _, entry := range pairs {
		pair, ok := entry.([]interface{})
		if !ok || len(pair) != 2 {
			return wrong
		}
		key, item := reflect.New(into.Type().Key()).Elem(), reflect.New(into.Type().Elem()).Elem()
		if err := decode(pair[0], key); err != nil {
			return err
		}
		if key.Kind() == reflect.Interface && !key.IsNil() && !key.Elem().Type().Comparable() {
			return wrong
		}
		if err := decode(pair[1], item); err != nil {
			return err
		}
		into.SetMapIndex(key, item)
	}
	return nil
}

// decodeAny stores a value into an interface: of the type that is named, else of JSON's own.
func decodeAny(data interface{}, into reflect.Value) error {
	if into.NumMethod() > 0 {
		return fmt.Errorf("a %s cannot be received", into.Type())
	}
	object, ok := data.(map[string]interface{})
	name, named := object["$type"].(string)
	if ok && named {
		kind, err := typeOf(name)
		if err != nil {
			return err
		}
		value := reflect.New(kind).Elem()
		if err := decode(object["$value"], value); err != nil {
			return err
		}
		into.Set(value)
		return nil
	}
	value := plain(data)
	if value == nil {
		into.Set(reflect.Zero(into.Type()))
		return nil
	}
	into.Set(reflect.ValueOf(value))
	return nil
}

// plain turns what JSON has into what Go calls so: whole numbers are ints.
func plain(data interface{}) interface{} {
	switch value := data.(type) {
	case json.Number:
		if whole, err := strconv.Atoi(value.String()); err == nil {
			return whole
		}
		float, _ := value.Float64()
		return float
	case []interface{}:
		for i := range value {
			value[i] = plain(value[i])
		}
	case map[string]interface{}:
		if name, ok := value["$float"].(string); ok && len(value) == 1 {
			float, _ := strconv.ParseFloat(name, 64)
			return float
		}
		for key := range value {
			value[key] = plain(value[key])
		}
	}
	return data
}

func parse(body []byte, into interface{}) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	return decoder.Decode(into)
}

// --- the server ----------------------------------------------------------------------------

type request struct {
	Call string        `json:"call"`
	Args []interface{} `json:"args"`
}

// Serve answers calls of a function until there are no more.
func Serve(function interface{}) {
	// A recursion without end is an error of the program, and not one of memory.
	debug.SetMaxStack(64 << 20)
	for {
		body, err := readFrame()
		if err != nil {
			os.Exit(0)
		}
		reply := answer(function, body)
		if err := writeFrame(outgoing, reply); err != nil {
			reply = raised("error", err.Error())
			if writeFrame(outgoing, reply) != nil {
				os.Exit(1)
			}
		}
	}
}

func raised(kind string, message string) map[string]interface{} {
	return map[string]interface{}{"raise": kind, "message": message}
}

func answer(function interface{}, body []byte) (reply map[string]interface{}) {
	defer func() {
		if problem := recover(); problem != nil {
			reply = raised("panic", fmt.Sprint(problem))
		}
	}()
	var call request
	if err := parse(body, &call); err != nil {
		return raised("error", err.Error())
	}
	called := reflect.ValueOf(function)
	kind := called.Type()
	if kind.NumIn() != len(call.Args) || kind.IsVariadic() {
		return raised("error", fmt.Sprintf("the function takes %d values", kind.NumIn()))
	}
	args := make([]reflect.Value, len(call.Args))
	for i, data := range call.Args {
		args[i] = reflect.New(kind.In(i)).Elem()
		if err := decode(data, args[i]); err != nil {
			return raised("error", err.Error())
		}
	}
	results := called.Call(args)
	values := make([]interface{}, len(results))
	for i, result := range results {
		value, err := encode(result)
		if err != nil {
			return raised("error", err.Error())
		}
		values[i] = value
	}
	if Plain && len(values) == 1 {
		return map[string]interface{}{"value": values[0]}
	}
	return map[string]interface{}{"value": values}
}

// --- the checker ---------------------------------------------------------------------------

// Raised is what the function under test panicked with.
type Raised struct{ Message string }

func (raised Raised) Error() string { return raised.Message }

// Remote asks the server for what the function returns. Arguments and results are pointers.
func Remote(name string, args []interface{}, results []interface{}) {
	mutex.Lock()
	defer mutex.Unlock()
	call := request{Call: name, Args: make([]interface{}, len(args))}
	for i, arg := range args {
		value, err := encode(reflect.ValueOf(arg).Elem())
		if err != nil {
			Fail("exception", "the tests send what cannot be sent: "+err.Error())
		}
		call.Args[i] = value
	}
	if err := writeFrame(outgoing, call); err != nil {
		Fail("exception", "the program ended before it answered")
	}
	body, err := readFrame()
	if err != nil {
		Fail("exception", "the program ended before it answered")
	}
	var reply struct {
		Value   []interface{} `json:"value"`
		Raise   *string       `json:"raise"`
		Message string        `json:"message"`
	}
	if err := parse(body, &reply); err != nil {
		Fail("wrong answer", "the answer is none: "+err.Error())
	}
	if reply.Raise != nil {
		panic(Raised{*reply.Raise + ": " + reply.Message})
	}
	if len(reply.Value) != len(results) {
		Fail("wrong answer", fmt.Sprintf("%d values are returned, not %d", len(reply.Value), len(results)))
	}
	for i, result := range results {
		if err := decode(reply.Value[i], reflect.ValueOf(result).Elem()); err != nil {
			Fail("wrong answer", "the answer is of another type: "+err.Error())
		}
	}
}

// Fail says that the tests failed, and ends.
func Fail(kind string, message string) {
	if len(message) > 2000 {
		message = message[:2000]
	}
	verdict := os.NewFile(5, "verdict")
	_ = writeFrame(verdict, map[string]interface{}{"failed": kind, "message": message})
	os.Exit(1)
}

// Pass says that the tests ran to their end, and ends.
func Pass() {
	verdict := os.NewFile(5, "verdict")
	_ = writeFrame(verdict, map[string]interface{}{"passed": true})
	os.Exit(0)
}

// Guard, when deferred in a test, turns its panic into a verdict.
func Guard() {
	if problem := recover(); problem != nil {
		Fail("exception", fmt.Sprint(problem))
	}
}
