function evaluateExpression(text) {
  const tokens = text.match(/\d+|[-+*()]/g);
  let place = 0;

  function total() {
    let value = product();
    while (tokens[place] === "+" || tokens[place] === "-") {
      value += tokens[place++] === "+" ? product() : -product();
    }
    return value;
  }

  function product() {
    let value = factor();
    while (tokens[place] === "*") {
      place++;
      value *= factor();
    }
    return value;
  }

  function factor() {
    const token = tokens[place++];
    if (token !== "(") {
      return Number(token);
    }
    const value = total();
    place++;
    return value;
  }

  return total();
}
