package main

import "strconv"

func BellWords(count int) []string {
	words := []string{}
	for number := 1; number <= count; number++ {
		switch {
		case number%12 == 0:
			words = append(words, "ding-dong")
		case number%4 == 0:
			words = append(words, "ding")
		case number%6 == 0:
			words = append(words, "dong")
		default:
			words = append(words, strconv.Itoa(number))
		}
	}
	return words
}
