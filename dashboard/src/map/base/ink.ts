/** The base map's colours in the theme in use: they are in the style sheet, a canvas must be told them. */
import { effect } from "@preact/signals";
import { theme } from "../../store/store";
import { KINDS, type Kind } from "./kinds";

export type Ink = Readonly<Record<Kind, string>>;

function read(): Ink {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(
    KINDS.map((kind) => [kind, style.getPropertyValue(`--base-${kind}`).trim()]),
  ) as Ink;
}

/** Calls with the colours now and whenever the theme changes, after the page has changed its own. */
export function withInk(draw: (ink: Ink) => void): () => void {
  let frame = 0;
  const stop = effect(() => {
    void theme.value;
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() => draw(read()));
  });
  return () => {
    cancelAnimationFrame(frame);
    stop();
  };
}
