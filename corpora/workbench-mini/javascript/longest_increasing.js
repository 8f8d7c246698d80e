function longestIncreasing(numbers) {
  const ends = [];
  for (const number of numbers) {
    let place = ends.findIndex((end) => end >= number);
    if (place < 0) {
      place = ends.length;
    }
    ends[place] = number;
  }
  return ends.length;
}
