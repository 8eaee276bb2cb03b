/* What scripts of several widgets begin with: put before each of them. */

const make = (tag, props = {}, ...kids) => {
  const node = Object.assign(document.createElement(tag), props);
  node.append(...kids);
  return node;
};
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/* A picture that can be shown, or null. */
async function load(data, className) {
  const blob = new Blob([data]);
  const image = make("img", { className, draggable: false });
  const url = URL.createObjectURL(blob);
  const release = () => URL.revokeObjectURL(url);
  const tried = (source) =>
    new Promise((resolve) => {
      image.onload = () => resolve(true);
      image.onerror = () => resolve(false);
      image.src = source;
    });
  if (await tried(url)) return { image, release };
  release();
  // Some pages forbid pictures from blob addresses.
  const reader = new FileReader();
  const text = await new Promise((resolve) => {
    reader.onload = () => resolve(reader.result);
    reader.readAsDataURL(blob);
  });
  return (await tried(text)) ? { image, release: () => {} } : null;
}
