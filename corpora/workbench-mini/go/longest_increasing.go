package main

import "sort"

func LongestIncreasing(numbers []int) int {
	ends := []int{}
	for _, number := range numbers {
		place := sort.SearchInts(ends, number)
		if place == len(ends) {
			ends = append(ends, number)
		} else {
			ends[place] = number
		}
	}
	return len(ends)
}
