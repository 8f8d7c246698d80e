function spiralOrder(matrix) {
  let rest = matrix.map((row) => [...row]);
  const order = [];
  while (rest.length > 0) {
    order.push(...rest.shift());
    const width = rest.length > 0 ? rest[0].length : 0;
    rest = Array.from({ length: width }, (_, x) => rest.map((row) => row[width - 1 - x]));
  }
  return order;
}
