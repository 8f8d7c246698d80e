function digitSum(number) {
  return [...String(Math.abs(number))].reduce((sum, digit) => sum + Number(digit), 0);
}
