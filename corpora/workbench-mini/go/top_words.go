package main

import (
	"sort"
	"strings"
)

func TopWords(text string, count int) []string {
	counts := map[string]int{}
	words := []string{}
	for _, word := range strings.Fields(text) {
		if counts[word] == 0 {
			words = append(words, word)
		}
		counts[word]++
	}
	sort.Slice(words, func(i, j int) bool {
		if counts[words[i]] != counts[words[j]] {
			return counts[words[i]] > counts[words[j]]
		}
		return words[i] < words[j]
	})
	if len(words) > count {
		words = words[:count]
	}
	return words
}
