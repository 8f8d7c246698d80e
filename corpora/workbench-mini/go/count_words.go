package main

import "strings"

func CountWords(sentence string) map[string]int {
	counts := map[string]int{}
	for _, word := range strings.Fields(sentence) {
		counts[word]++
	}
	return counts
}
