package main

import "math"

func ClampAll(numbers []float64, low float64, high float64) []float64 {
	limited := make([]float64, len(numbers))
	for i, number := range numbers {
		limited[i] = math.Min(math.Max(number, low), high)
	}
	return limited
}
