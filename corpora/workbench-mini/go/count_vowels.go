package main

import "strings"

func CountVowels(text string) int {
	count := 0
	for _, character := range strings.ToLower(text) {
		if strings.ContainsRune("aeiou", character) {
			count++
		}
	}
	return count
}
