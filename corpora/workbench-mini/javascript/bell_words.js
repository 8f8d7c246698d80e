function bellWords(count) {
  const words = [];
  for (let number = 1; number <= count; number++) {
    const bells = [];
    if (number % 4 === 0) bells.push("ding");
    if (number % 6 === 0) bells.push("dong");
    words.push(bells.join("-") || String(number));
  }
  return words;
}
