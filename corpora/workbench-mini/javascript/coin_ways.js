function coinWays(amount, coins) {
  const ways = new Array(amount + 1).fill(0);
  ways[0] = 1;
  for (const coin of coins) {
    for (let paid = coin; paid <= amount; paid++) {
      ways[paid] += ways[paid - coin];
    }
  }
  return ways[amount];
}
