// Package assert stands in for github.com/stretchr/testify/assert, offline: the assertions that
// tests of functions use, by the same rules. The first one that fails ends the program with the
// verdict, as nothing after it can change that.
package assert

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"strings"

	"workbench/wire"
)

// TestingT is what a test is handed.
type TestingT interface {
	Errorf(format string, args ...interface{})
}

// Assertions are the same functions as methods.
type Assertions struct{ t TestingT }

// New returns assertions on a test.
func New(t TestingT) *Assertions { return &Assertions{t} }

func fail(format string, values ...interface{}) bool {
	wire.Fail("wrong answer", fmt.Sprintf(format, values...))
	return false
}

func isNil(object interface{}) bool {
	if object == nil {
		return true
	}
	switch value := reflect.ValueOf(object); value.Kind() {
	case reflect.Chan, reflect.Func, reflect.Interface, reflect.Map, reflect.Ptr, reflect.Slice,
		reflect.UnsafePointer:
		return value.IsNil()
	}
	return false
}

// ObjectsAreEqual compares as reflect.DeepEqual does, and bytes by their contents.
func ObjectsAreEqual(expected, actual interface{}) bool {
	if expected == nil || actual == nil {
		return expected == actual
	}
	wanted, ok := expected.([]byte)
	if !ok {
		return reflect.DeepEqual(expected, actual)
	}
	given, ok := actual.([]byte)
	if !ok || wanted == nil || given == nil {
		return ok && wanted == nil && given == nil
	}
	return bytes.Equal(wanted, given)
}

// ObjectsAreEqualValues compares also what becomes equal by a conversion.
func ObjectsAreEqualValues(expected, actual interface{}) bool {
	if ObjectsAreEqual(expected, actual) {
		return true
	}
	wanted, given := reflect.ValueOf(expected), reflect.ValueOf(actual)
	if !wanted.IsValid() || !given.IsValid() || !wanted.Type().ConvertibleTo(given.Type()) {
		return false
	}
	return reflect.DeepEqual(wanted.Convert(given.Type()).Interface(), actual)
}

func isEmpty(object interface{}) bool {
	if object == nil {
		return true
	}
	value := reflect.ValueOf(object)
	switch value.Kind() {
	case reflect.Chan, reflect.Map, reflect.Slice:
		return value.Len() == 0
	case reflect.Ptr:
		return value.IsNil() || isEmpty(value.Elem().Interface())
	}
	return value.IsZero()
}

func float(value interface{}) (float64, bool) {
	switch number := reflect.ValueOf(value); {
	case !number.IsValid():
		return 0, false
	case number.CanInt():
		return float64(number.Int()), true
	case number.CanUint():
		return float64(number.Uint()), true
	case number.CanFloat():
		return number.Float(), true
	}
	return 0, false
}

func contains(list, element interface{}) bool {
	value := reflect.ValueOf(list)
	switch value.Kind() {
	case reflect.String:
		return strings.Contains(value.String(), fmt.Sprint(element))
	case reflect.Map:
		for _, key := range value.MapKeys() {
			if ObjectsAreEqual(key.Interface(), element) {
				return true
			}
		}
	case reflect.Slice, reflect.Array:
		for i := 0; i < value.Len(); i++ {
			if ObjectsAreEqual(value.Index(i).Interface(), element) {
				return true
			}
		}
	}
	return false
}

func compare(a, b interface{}) (int, bool) {
	if reflect.TypeOf(a) != reflect.TypeOf(b) {
		return 0, false
	}
	if text, ok := a.(string); ok {
		return strings.Compare(text, b.(string)), true
	}
	first, ok := float(a)
	second, _ := float(b)
	switch {
	case first < second:
		return -1, ok
	case first > second:
		return 1, ok
	}
	return 0, ok
}

// Equal asserts that two objects are equal.
func Equal(t TestingT, expected, actual interface{}, _ ...interface{}) bool {
	return ObjectsAreEqual(expected, actual) || fail("%#v, not %#v", actual, expected)
}

// NotEqual asserts that two objects are not equal.
func NotEqual(t TestingT, expected, actual interface{}, _ ...interface{}) bool {
	return !ObjectsAreEqual(expected, actual) || fail("%#v, which it should not be", actual)
}

// EqualValues asserts that two objects are equal, or can be converted so.
func EqualValues(t TestingT, expected, actual interface{}, _ ...interface{}) bool {
	return ObjectsAreEqualValues(expected, actual) || fail("%#v, not %#v", actual, expected)
}

// Exactly asserts that two objects are equal and of one type.
func Exactly(t TestingT, expected, actual interface{}, _ ...interface{}) bool {
	same := reflect.TypeOf(expected) == reflect.TypeOf(actual)
	return (same && ObjectsAreEqual(expected, actual)) || fail("%#v, not %#v", actual, expected)
}

// True asserts that a value is true.
func True(t TestingT, value bool, _ ...interface{}) bool { return value || fail("false, not true") }

// False asserts that a value is false.
func False(t TestingT, value bool, _ ...interface{}) bool { return !value || fail("true, not false") }

// Nil asserts that an object is nil.
func Nil(t TestingT, object interface{}, _ ...interface{}) bool {
	return isNil(object) || fail("%#v, not nil", object)
}

// NotNil asserts that an object is not nil.
func NotNil(t TestingT, object interface{}, _ ...interface{}) bool {
	return !isNil(object) || fail("nil")
}

// Zero asserts that a value is its type's zero.
func Zero(t TestingT, value interface{}, _ ...interface{}) bool {
	return value == nil || reflect.ValueOf(value).IsZero() || fail("%#v, not zero", value)
}

// Empty asserts that an object is empty.
func Empty(t TestingT, object interface{}, _ ...interface{}) bool {
	return isEmpty(object) || fail("%#v, which is not empty", object)
}

// NotEmpty asserts that an object is not empty.
func NotEmpty(t TestingT, object interface{}, _ ...interface{}) bool {
	return !isEmpty(object) || fail("%#v, which is empty", object)
}

// Len asserts that an object has a length.
func Len(t TestingT, object interface{}, length int, _ ...interface{}) bool {
	switch value := reflect.ValueOf(object); value.Kind() {
	case reflect.Array, reflect.Chan, reflect.Map, reflect.Slice, reflect.String:
		return value.Len() == length || fail("%d items, not %d", value.Len(), length)
	}
	return fail("%#v has no length", object)
}

// Contains asserts that a list, a map's keys or a text hold an element.
func Contains(t TestingT, list, element interface{}, _ ...interface{}) bool {
	return contains(list, element) || fail("%#v does not contain %#v", list, element)
}

// NotContains asserts that they do not.
func NotContains(t TestingT, list, element interface{}, _ ...interface{}) bool {
	return !contains(list, element) || fail("%#v contains %#v", list, element)
}

// ElementsMatch asserts that two lists hold the same elements, in any order.
func ElementsMatch(t TestingT, expected, actual interface{}, _ ...interface{}) bool {
	if isEmpty(expected) && isEmpty(actual) {
		return true
	}
	wanted, given := reflect.ValueOf(expected), reflect.ValueOf(actual)
	for _, value := range []reflect.Value{wanted, given} {
		if value.Kind() != reflect.Slice && value.Kind() != reflect.Array {
			return fail("%#v is no list", value)
		}
	}
	taken := make([]bool, given.Len())
	for i := 0; i < wanted.Len(); i++ {
		found := false
		for j := 0; j < given.Len() && !found; j++ {
			found = !taken[j] && ObjectsAreEqual(wanted.Index(i).Interface(), given.Index(j).Interface())
			taken[j] = taken[j] || found
		}
		if !found {
			return fail("%#v, not %#v", actual, expected)
		}
	}
	return wanted.Len() == given.Len() || fail("%#v, not %#v", actual, expected)
}

// InDelta asserts that two numbers differ by at most delta.
func InDelta(t TestingT, expected, actual interface{}, delta float64, _ ...interface{}) bool {
	wanted, ok := float(expected)
	given, okToo := float(actual)
	if ok && okToo && math.IsNaN(wanted) && math.IsNaN(given) {
		return true
	}
	near := ok && okToo && math.Abs(wanted-given) <= delta
	return near || wanted == given && ok && okToo || fail("%v, not %v within %v", actual, expected, delta)
}

// InDeltaSlice asserts the same of each item of two lists.
func InDeltaSlice(t TestingT, expected, actual interface{}, delta float64, _ ...interface{}) bool {
	wanted, given := reflect.ValueOf(expected), reflect.ValueOf(actual)
	if wanted.Kind() != reflect.Slice || given.Kind() != reflect.Slice || wanted.Len() != given.Len() {
		return fail("%#v, not %#v", actual, expected)
	}
	for i := 0; i < wanted.Len(); i++ {
		InDelta(t, wanted.Index(i).Interface(), given.Index(i).Interface(), delta)
	}
	return true
}

// InEpsilon asserts that two numbers differ relatively by at most epsilon.
func InEpsilon(t TestingT, expected, actual interface{}, epsilon float64, _ ...interface{}) bool {
	wanted, ok := float(expected)
	given, okToo := float(actual)
	near := ok && okToo && wanted != 0 && math.Abs(wanted-given)/math.Abs(wanted) <= epsilon
	return near || fail("%v, not %v within %v", actual, expected, epsilon)
}

// Greater asserts that the first is greater.
func Greater(t TestingT, a, b interface{}, _ ...interface{}) bool {
	order, ok := compare(a, b)
	return ok && order > 0 || fail("%v is not greater than %v", a, b)
}

// GreaterOrEqual asserts that the first is not less.
func GreaterOrEqual(t TestingT, a, b interface{}, _ ...interface{}) bool {
	order, ok := compare(a, b)
	return ok && order >= 0 || fail("%v is less than %v", a, b)
}

// Less asserts that the first is less.
func Less(t TestingT, a, b interface{}, _ ...interface{}) bool {
	order, ok := compare(a, b)
	return ok && order < 0 || fail("%v is not less than %v", a, b)
}

// LessOrEqual asserts that the first is not greater.
func LessOrEqual(t TestingT, a, b interface{}, _ ...interface{}) bool {
	order, ok := compare(a, b)
	return ok && order <= 0 || fail("%v is greater than %v", a, b)
}

// NoError asserts that there is no error.
func NoError(t TestingT, err error, _ ...interface{}) bool {
	return err == nil || fail("error %v", err)
}

// Error asserts that there is an error.
func Error(t TestingT, err error, _ ...interface{}) bool { return err != nil || fail("no error") }

func panics(function func()) (panicked bool) {
	defer func() { panicked = recover() != nil }()
	function()
	return false
}

// Panics asserts that a function panics.
func Panics(t TestingT, function func(), _ ...interface{}) bool {
	return panics(function) || fail("no panic")
}

// NotPanics asserts that a function does not panic.
func NotPanics(t TestingT, function func(), _ ...interface{}) bool {
	return !panics(function) || fail("a panic")
}

// --- the same as methods -------------------------------------------------------------------

// Equal is the function of that name.
func (assertions *Assertions) Equal(expected, actual interface{}, rest ...interface{}) bool {
	return Equal(assertions.t, expected, actual)
}

// NotEqual is the function of that name.
func (assertions *Assertions) NotEqual(expected, actual interface{}, rest ...interface{}) bool {
	return NotEqual(assertions.t, expected, actual)
}

// EqualValues is the function of that name.
func (assertions *Assertions) EqualValues(expected, actual interface{}, rest ...interface{}) bool {
	return EqualValues(assertions.t, expected, actual)
}

// Exactly is the function of that name.
func (assertions *Assertions) Exactly(expected, actual interface{}, rest ...interface{}) bool {
	return Exactly(assertions.t, expected, actual)
}

// True is the function of that name.
func (assertions *Assertions) True(value bool, rest ...interface{}) bool {
	return True(assertions.t, value)
}

// False is the function of that name.
func (assertions *Assertions) False(value bool, rest ...interface{}) bool {
	return False(assertions.t, value)
}

// Nil is the function of that name.
func (assertions *Assertions) Nil(object interface{}, rest ...interface{}) bool {
	return Nil(assertions.t, object)
}

// NotNil is the function of that name.
func (assertions *Assertions) NotNil(object interface{}, rest ...interface{}) bool {
	return NotNil(assertions.t, object)
}

// Zero is the function of that name.
func (assertions *Assertions) Zero(value interface{}, rest ...interface{}) bool {
	return Zero(assertions.t, value)
}

// Empty is the function of that name.
func (assertions *Assertions) Empty(object interface{}, rest ...interface{}) bool {
	return Empty(assertions.t, object)
}

// NotEmpty is the function of that name.
func (assertions *Assertions) NotEmpty(object interface{}, rest ...interface{}) bool {
	return NotEmpty(assertions.t, object)
}

// Len is the function of that name.
func (assertions *Assertions) Len(object interface{}, length int, rest ...interface{}) bool {
	return Len(assertions.t, object, length)
}

// Contains is the function of that name.
func (assertions *Assertions) Contains(list, element interface{}, rest ...interface{}) bool {
	return Contains(assertions.t, list, element)
}

// NotContains is the function of that name.
func (assertions *Assertions) NotContains(list, element interface{}, rest ...interface{}) bool {
	return NotContains(assertions.t, list, element)
}

// ElementsMatch is the function of that name.
func (assertions *Assertions) ElementsMatch(expected, actual interface{}, rest ...interface{}) bool {
	return ElementsMatch(assertions.t, expected, actual)
}

// InDelta is the function of that name.
func (assertions *Assertions) InDelta(expected, actual interface{}, delta float64, rest ...interface{}) bool {
	return InDelta(assertions.t, expected, actual, delta)
}

// InDeltaSlice is the function of that name.
func (assertions *Assertions) InDeltaSlice(expected, actual interface{}, delta float64, rest ...interface{}) bool {
	return InDeltaSlice(assertions.t, expected, actual, delta)
}

// InEpsilon is the function of that name.
func (assertions *Assertions) InEpsilon(expected, actual interface{}, epsilon float64, rest ...interface{}) bool {
	return InEpsilon(assertions.t, expected, actual, epsilon)
}

// Greater is the function of that name.
func (assertions *Assertions) Greater(a, b interface{}, rest ...interface{}) bool {
	return Greater(assertions.t, a, b)
}

// GreaterOrEqual is the function of that name.
func (assertions *Assertions) GreaterOrEqual(a, b interface{}, rest ...interface{}) bool {
	return GreaterOrEqual(assertions.t, a, b)
}

// Less is the function of that name.
func (assertions *Assertions) Less(a, b interface{}, rest ...interface{}) bool {
	return Less(assertions.t, a, b)
}

// LessOrEqual is the function of that name.
func (assertions *Assertions) LessOrEqual(a, b interface{}, rest ...interface{}) bool {
	return LessOrEqual(assertions.t, a, b)
}

// NoError is the function of that name.
func (assertions *Assertions) NoError(err error, rest ...interface{}) bool {
	return NoError(assertions.t, err)
}

// Error is the function of that name.
func (assertions *Assertions) Error(err error, rest ...interface{}) bool {
	return Error(assertions.t, err)
}

// Panics is the function of that name.
func (assertions *Assertions) Panics(function func(), rest ...interface{}) bool {
	return Panics(assertions.t, function)
}

// NotPanics is the function of that name.
func (assertions *Assertions) NotPanics(function func(), rest ...interface{}) bool {
	return NotPanics(assertions.t, function)
}
