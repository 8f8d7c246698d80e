function clampAll(numbers, low, high) {
  return numbers.map((number) => Math.min(Math.max(number, low), high));
}
