function isRotation(first, second) {
  return first.length === second.length && (first + first).includes(second);
}
