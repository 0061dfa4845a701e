/** How much larger letters are than at a desk: 1 there; on the wall what makes 12 px as large as its own letters. */
export function letterScale(): number {
  const root = document.documentElement;
  return root.hasAttribute("data-wall") ? Number.parseFloat(getComputedStyle(root).fontSize) / 12 : 1;
}
