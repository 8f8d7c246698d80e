function windowMedians(numbers, size) {
  const medians = [];
  for (let start = 0; start + size <= numbers.length; start++) {
    const window = numbers.slice(start, start + size).sort((a, b) => a - b);
    medians.push((window[Math.floor((size - 1) / 2)] + window[Math.floor(size / 2)]) / 2);
  }
  return medians;
}
