function canSegment(text, words) {
  const reached = new Set([0]);
  for (let start = 0; start < text.length; start++) {
    if (reached.has(start)) {
      words
        .filter((word) => text.startsWith(word, start))
        .forEach((word) => reached.add(start + word.length));
    }
  }
  return reached.has(text.length);
}
