function romanNumeral(number) {
  const values = [1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1];
  const signs = ["M", "CM", "D", "CD", "C", "XC", "L", "XL", "X", "IX", "V", "IV", "I"];
  let numeral = "";
  values.forEach((value, i) => {
    numeral += signs[i].repeat(Math.floor(number / value));
    number %= value;
  });
  return numeral;
}
