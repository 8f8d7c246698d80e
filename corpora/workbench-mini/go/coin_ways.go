package main

func CoinWays(amount int, coins []int) int {
	ways := make([]int, amount+1)
	ways[0] = 1
	for _, coin := range coins {
		for paid := coin; paid <= amount; paid++ {
			ways[paid] += ways[paid-coin]
		}
	}
	return ways[amount]
}
