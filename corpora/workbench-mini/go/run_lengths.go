package main

import (
	"strconv"
	"strings"
)

func RunLengths(text string) string {
	var encoded strings.Builder
	characters := []rune(text)
	start := 0
	for end := 1; end <= len(characters); end++ {
		if end == len(characters) || characters[end] != characters[start] {
			encoded.WriteRune(characters[start])
			encoded.WriteString(strconv.Itoa(end - start))
			start = end
		}
	}
	return encoded.String()
}
