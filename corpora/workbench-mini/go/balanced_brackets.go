package main

func BalancedBrackets(text string) bool {
	closing := map[rune]rune{'(': ')', '[': ']', '{': '}'}
	expected := []rune{}
	for _, character := range text {
		if wanted, opens := closing[character]; opens {
			expected = append(expected, wanted)
		} else if character == ')' || character == ']' || character == '}' {
			last := len(expected) - 1
			if last < 0 || expected[last] != character {
				return false
			}
			expected = expected[:last]
		}
	}
	return len(expected) == 0
}
