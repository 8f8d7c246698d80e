package main

func CourseOrder(count int, pairs [][]int) []int {
	missing := make([]int, count)
	for _, pair := range pairs {
		missing[pair[1]]++
	}
	order := []int{}
	for len(order) < count {
		course := 0
		for course < count && missing[course] != 0 {
			course++
		}
		if course == count {
			return []int{}
		}
		missing[course] = -1
		order = append(order, course)
		for _, pair := range pairs {
			if pair[0] == course {
				missing[pair[1]]--
			}
		}
	}
	return order
}
