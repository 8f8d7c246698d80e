package main

import "strings"

func CanSegment(text string, words []string) bool {
	reached := make([]bool, len(text)+1)
	reached[0] = true
	for start := range text {
		for _, word := range words {
			if reached[start] && strings.HasPrefix(text[start:], word) {
				reached[start+len(word)] = true
			}
		}
	}
	return reached[len(text)]
}
