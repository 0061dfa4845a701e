/** Names on the map must not lie on each other: each takes a free side of its pin, or stays hidden. */

export interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

export type Side = "right" | "left" | "above" | "below" | "none";

export interface Pin {
  readonly x: number;
  readonly y: number;
  /** Half its picture: the chosen one's is larger, and the wall's are all. */
  readonly radius: number;
  readonly labelWidth: number;
  readonly labelHeight: number;
}

/** Between a pin and its name; the style sheet has the same. */
const NEAR_PX = 5;

const meet = (a: Box, b: Box) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;

const TRIED = ["right", "left", "above", "below"] as const;

function labelBox(pin: Pin, side: (typeof TRIED)[number]): Box {
  const near = pin.radius + NEAR_PX;
  let left = pin.x - pin.labelWidth / 2;
  let top = pin.y - pin.labelHeight / 2;
  if (side === "right") left = pin.x + near;
  if (side === "left") left = pin.x - near - pin.labelWidth;
  if (side === "above") top = pin.y - near - pin.labelHeight;
  if (side === "below") top = pin.y + near;
  return { left, top, right: left + pin.labelWidth, bottom: top + pin.labelHeight };
}

/** Sides in the order of the pins: the earlier one wins its place; `occupied` are the map's own buttons. */
export function sides(
  pins: readonly Pin[],
  width: number,
  height: number,
  occupied: readonly Box[] = [],
): readonly Side[] {
  const pinBoxes = pins.map((p) => ({
    left: p.x - p.radius,
    right: p.x + p.radius,
    top: p.y - p.radius,
    bottom: p.y + p.radius,
  }));
  const taken: Box[] = [...occupied];
  return pins.map((pin, i) => {
    for (const side of TRIED) {
      const box = labelBox(pin, side);
      const free =
        box.left >= 0 &&
        box.right <= width &&
        box.top >= 0 &&
        box.bottom <= height &&
        !taken.some((other) => meet(box, other)) &&
        !pinBoxes.some((other, j) => j !== i && meet(box, other));
      if (!free) continue;
      taken.push(box);
      return side;
    }
    return "none";
  });
}

/** Gives every pin element its side; reads all sizes before it writes any class. */
export function placeLabels(host: HTMLElement, elements: readonly HTMLElement[]): void {
  const area = host.getBoundingClientRect();
  const pins = elements.map((element) => {
    const box = element.getBoundingClientRect();
    const label = element.querySelector<HTMLElement>(".pin-label");
    return {
      x: (box.left + box.right) / 2 - area.left,
      y: (box.top + box.bottom) / 2 - area.top,
      radius: (element.querySelector(".shape")?.getBoundingClientRect().width ?? 0) / 2,
      labelWidth: label?.offsetWidth ?? 0,
      labelHeight: label?.offsetHeight ?? 0,
    };
  });
  const buttons = [...host.querySelectorAll(".leaflet-control")].map((control) => {
    const box = control.getBoundingClientRect();
    return {
      left: box.left - area.left,
      right: box.right - area.left,
      top: box.top - area.top,
      bottom: box.bottom - area.top,
    };
  });
  const found = sides(pins, area.width, area.height, buttons);
  for (const [i, element] of elements.entries()) {
    const pin = element.querySelector<HTMLElement>(".pin");
    if (pin) pin.dataset["label"] = found[i] ?? "none";
  }
}
