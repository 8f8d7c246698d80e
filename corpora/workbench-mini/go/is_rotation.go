package main

import "strings"

func IsRotation(first string, second string) bool {
	return len(first) == len(second) && strings.Contains(first+first, second)
}
