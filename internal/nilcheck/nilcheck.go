// Package nilcheck finds nil pointers in interfaces.
package nilcheck

import "reflect"

// IsNil reports whether v is nil, or an interface that holds a nil pointer,
// function, map, slice or channel.
func IsNil(v any) bool {
	value := reflect.ValueOf(v)
	switch value.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Pointer, reflect.Func, reflect.Map, reflect.Slice, reflect.Chan, reflect.UnsafePointer:
		return value.IsNil()
	}
	return false
}
