function longestCommonPrefix(words) {
  let prefix = words.length > 0 ? words[0] : "";
  for (const word of words) {
    while (!word.startsWith(prefix)) {
      prefix = prefix.slice(0, -1);
    }
  }
  return prefix;
}
