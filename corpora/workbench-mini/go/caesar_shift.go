package main

import "strings"

func CaesarShift(text string, shift int) string {
	places := rune((shift%26 + 26) % 26)
	return strings.Map(func(letter rune) rune {
		switch {
		case letter >= 'a' && letter <= 'z':
			return 'a' + (letter-'a'+places)%26
		case letter >= 'A' && letter <= 'Z':
			return 'A' + (letter-'A'+places)%26
		}
		return letter
	}, text)
}
