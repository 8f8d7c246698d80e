function courseOrder(count, pairs) {
  const missing = new Array(count).fill(0);
  pairs.forEach(([, second]) => missing[second]++);
  const order = [];
  while (order.length < count) {
    const course = missing.indexOf(0);
    if (course < 0) {
      return [];
    }
    missing[course] = -1;
    order.push(course);
    pairs.filter(([first]) => first === course).forEach(([, second]) => missing[second]--);
  }
  return order;
}
