package main

import "strings"

func ShortestPath(grid []string) int {
	type place struct{ y, x int }
	steps := map[place]int{}
	queue := []place{}
	for y, row := range grid {
		if x := strings.Index(row, "S"); x >= 0 {
			steps[place{y, x}] = 0
			queue = append(queue, place{y, x})
		}
	}
	for len(queue) > 0 {
		here := queue[0]
		queue = queue[1:]
		if grid[here.y][here.x] == 'E' {
			return steps[here]
		}
		for _, move := range []place{{-1, 0}, {1, 0}, {0, -1}, {0, 1}} {
			next := place{here.y + move.y, here.x + move.x}
			if next.y < 0 || next.y >= len(grid) || next.x < 0 || next.x >= len(grid[next.y]) {
				continue
			}
			if _, seen := steps[next]; !seen && grid[next.y][next.x] != '#' {
				steps[next] = steps[here] + 1
				queue = append(queue, next)
			}
		}
	}
	return -1
}
