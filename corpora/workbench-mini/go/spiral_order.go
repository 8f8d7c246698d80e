package main

func SpiralOrder(matrix [][]int) []int {
	order := []int{}
	if len(matrix) == 0 {
		return order
	}
	top, left, bottom, right := 0, 0, len(matrix)-1, len(matrix[0])-1
	for top <= bottom && left <= right {
		order = append(order, matrix[top][left:right+1]...)
		for y := top + 1; y <= bottom; y++ {
			order = append(order, matrix[y][right])
		}
		for x := right - 1; x >= left && bottom > top; x-- {
			order = append(order, matrix[bottom][x])
		}
		for y := bottom - 1; y > top && right > left; y-- {
			order = append(order, matrix[y][left])
		}
		top, left, bottom, right = top+1, left+1, bottom-1, right-1
	}
	return order
}
