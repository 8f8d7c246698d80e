function shortestPath(grid) {
  const steps = grid.map((row) => new Array(row.length).fill(-1));
  const queue = [];
  grid.forEach((row, y) => {
    const x = row.indexOf("S");
    if (x >= 0) {
      steps[y][x] = 0;
      queue.push([y, x]);
    }
  });
  while (queue.length > 0) {
    const [y, x] = queue.shift();
    if (grid[y][x] === "E") {
      return steps[y][x];
    }
    for (const [v, u] of [[y - 1, x], [y + 1, x], [y, x - 1], [y, x + 1]]) {
      const mark = grid[v] === undefined ? undefined : grid[v][u];
      if (mark !== undefined && mark !== "#" && steps[v][u] < 0) {
        steps[v][u] = steps[y][x] + 1;
        queue.push([v, u]);
      }
    }
  }
  return -1;
}
