function runLengths(text) {
  return text.replace(/(.)\1*/gs, (run) => run[0] + run.length);
}
