package main

import "strings"

func RomanNumeral(number int) string {
	values := []int{1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1}
	signs := []string{"M", "CM", "D", "CD", "C", "XC", "L", "XL", "X", "IX", "V", "IV", "I"}
	numeral := ""
	for i, value := range values {
		numeral += strings.Repeat(signs[i], number/value)
		number %= value
	}
	return numeral
}
