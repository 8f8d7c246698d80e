function topWords(text, count) {
  const counts = new Map();
  for (const word of text.split(" ").filter(Boolean)) {
    counts.set(word, (counts.get(word) || 0) + 1);
  }
  const words = [...counts.keys()].sort();
  return words.sort((a, b) => counts.get(b) - counts.get(a)).slice(0, count);
}
