function balancedBrackets(text) {
  const closing = { "(": ")", "[": "]", "{": "}" };
  const expected = [];
  for (const character of text) {
    if (character in closing) {
      expected.push(closing[character]);
    } else if (")]}".includes(character) && expected.pop() !== character) {
      return false;
    }
  }
  return expected.length === 0;
}
