/** Whether the screen is so; changes when somebody turns the phone or drags the window. */
import { type ReadonlySignal, signal } from "@preact/signals";

export function matching(query: string): ReadonlySignal<boolean> {
  const media = matchMedia(query);
  const found = signal(media.matches);
  media.addEventListener("change", () => {
    found.value = media.matches;
  });
  return found;
}

/** One hand, one column. */
export const phone = matching("(max-width: 599px)");
