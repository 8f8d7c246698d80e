package main

func Interleave(first []int, second []int) []int {
	mixed := []int{}
	for i := 0; i < len(first) || i < len(second); i++ {
		if i < len(first) {
			mixed = append(mixed, first[i])
		}
		if i < len(second) {
			mixed = append(mixed, second[i])
		}
	}
	return mixed
}
