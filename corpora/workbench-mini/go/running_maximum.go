package main

func RunningMaximum(numbers []int) []int {
	largest := make([]int, len(numbers))
	for i, number := range numbers {
		largest[i] = number
		if i > 0 && largest[i-1] > number {
			largest[i] = largest[i-1]
		}
	}
	return largest
}
