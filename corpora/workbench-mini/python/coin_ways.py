def coin_ways(amount: int, coins: list[int]) -> int:
    ways = [1] + [0] * amount
    for coin in coins:
        for paid in range(coin, amount + 1):
            ways[paid] += ways[paid - coin]
    return ways[amount]
