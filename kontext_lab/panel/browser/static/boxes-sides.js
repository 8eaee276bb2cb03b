/* Boxes as numbers, and what is asked for of them. Knows no page. */

const LEAST = 0.01; // side of a box
const rounded = (box) => box.map((side) => Math.round(side * 1e4) / 1e4);
const percent = (part) => String(Number((part * 100).toFixed(1)));
const sizeOf = ([x0, y0, x1, y1]) => `${Math.round((x1 - x0) * 100)} × ${Math.round((y1 - y0) * 100)} %`;
const inWords = (name, [x0, y0, x1, y1]) =>
  `${name}: ${percent(x1 - x0)} by ${percent(y1 - y0)} percent, ${percent(x0)} from the left, ${percent(y0)} from the top`;

/* What Python will make of what was asked for. */
const DONE = {
  add: (boxes, { name, box }) => [...boxes, { name, box }],
  change: (boxes, { name, box }) => boxes.map((one) => (one.name === name ? { name, box } : one)),
  rename: (boxes, { name, to }) => boxes.map((one) => (one.name === name ? { name: to, box: one.box } : one)),
  remove: (boxes, { name }) => boxes.filter((one) => one.name !== name),
};

function moved([x0, y0, x1, y1], dx, dy) {
  const [x, y] = [clamp(dx, -x0, 1 - x1), clamp(dy, -y0, 1 - y1)];
  return [x0 + x, y0 + y, x1 + x, y1 + y];
}

function resized([x0, y0, x1, y1], dx, dy) {
  return [x0, y0, clamp(x1 + dx, Math.min(1, x0 + LEAST), 1), clamp(y1 + dy, Math.min(1, y0 + LEAST), 1)];
}

/* The box between two points, never thinner than the least, and inside the picture. */
function between([ax, ay], [bx, by]) {
  const side = (a, b) => {
    const [low, high] = [Math.min(a, b), Math.max(a, b)];
    if (high - low >= LEAST) return [low, high];
    return low + LEAST <= 1 ? [low, low + LEAST] : [1 - LEAST, 1];
  };
  const [x0, x1] = side(ax, bx);
  const [y0, y1] = side(ay, by);
  return [x0, y0, x1, y1];
}
