package main

import "sort"

func WindowMedians(numbers []int, size int) []float64 {
	medians := []float64{}
	for end := size; end <= len(numbers); end++ {
		window := append([]int{}, numbers[end-size:end]...)
		sort.Ints(window)
		medians = append(medians, float64(window[(size-1)/2]+window[size/2])/2)
	}
	return medians
}
