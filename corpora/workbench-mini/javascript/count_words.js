function countWords(sentence) {
  const counts = {};
  for (const word of sentence.split(" ").filter(Boolean)) {
    counts[word] = (counts[word] || 0) + 1;
  }
  return counts;
}
