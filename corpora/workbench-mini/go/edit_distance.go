package main

func EditDistance(first string, second string) int {
	row := make([]int, len(second)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(first); i++ {
		before := row[0]
		row[0] = i
		for j := 1; j <= len(second); j++ {
			best := before
			if first[i-1] != second[j-1] {
				best++
			}
			if row[j]+1 < best {
				best = row[j] + 1
			}
			if row[j-1]+1 < best {
				best = row[j-1] + 1
			}
			before, row[j] = row[j], best
		}
	}
	return row[len(second)]
}
