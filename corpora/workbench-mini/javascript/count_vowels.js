function countVowels(text) {
  return [...text.toLowerCase()].filter((character) => "aeiou".includes(character)).length;
}
