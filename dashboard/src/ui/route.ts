/** Where in the page one is: each view has an address, so that a link, a reload or the back button finds it again. */
import { computed, signal } from "@preact/signals";

export type Route =
  | { readonly view: "situation" }
  | { readonly view: "station"; readonly id: string }
  | { readonly view: "alerts" }
  | { readonly view: "system" }
  | { readonly view: "wall" };

/** Pure: an address that means nothing is the situation. */
export function parse(path: string, query: URLSearchParams): Route {
  if (query.get("wall") === "1") return { view: "wall" };
  const [, view = "", id = ""] = /^\/(station|alerts|system)(?:\/([^/]+))?\/?$/.exec(path) ?? [];
  if (view === "station" && id) {
    try {
      return { view, id: decodeURIComponent(id) };
    } catch {
      return { view: "situation" };
    }
  }
  if (view === "alerts" || view === "system") return { view };
  return { view: "situation" };
}

export const stationHref = (id: string) => `/station/${encodeURIComponent(id)}`;

interface Address {
  readonly path: string;
  readonly search: string;
}

const here = (): Address => ({ path: location.pathname, search: location.search });
const address = signal<Address>(here());

/** What follows the `?`: filters, a chart's span. */
export const query = computed(() => new URLSearchParams(address.value.search));
const key = computed(() => JSON.stringify(parse(address.value.path, query.value)));
/** An equal route is the same one: a changed filter draws no view anew. */
export const route = computed<Route>(() => JSON.parse(key.value));

/** A phone has room for the list or the map. */
export const mapOnPhone = computed(() => route.value.view === "situation" && query.value.get("map") === "1");

/** What the browser keeps with an address: the place on the page, and how many steps back the situation is. */
interface Kept {
  readonly y: number;
  readonly steps?: number;
}

/** Goes to another view; the place on the page one leaves is kept for the way back. */
export function navigate(href: string): void {
  const kept = history.state as Kept | null;
  const before = route.peek().view === "situation" ? 0 : kept?.steps;
  history.replaceState({ ...kept, y: scrollY }, "");
  history.pushState(
    { y: 0, ...(before === undefined ? {} : { steps: before + 1 }) } satisfies Kept,
    "",
    href,
  );
  address.value = here();
  scrollTo(0, 0);
}

/** Writes into the address what the view shows; null takes a word out. No step of the back button. */
export function setQuery(changes: Readonly<Record<string, string | null>>): void {
  const next = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === "") next.delete(name);
    else next.set(name, value);
  }
  const text = next.toString();
  history.replaceState(history.state, "", `${location.pathname}${text && `?${text}`}${location.hash}`);
  address.value = here();
}

/** Plain links are enough everywhere: those that stay on the page are taken here. */
export function followLinks(): void {
  history.scrollRestoration = "manual";
  addEventListener("popstate", (event) => {
    address.value = here();
    const y = (event.state as Kept | null)?.y ?? 0;
    requestAnimationFrame(() => scrollTo(0, y));
  });
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element | null)?.closest?.("a[href]");
    if (!(link instanceof HTMLAnchorElement) || link.target || link.hasAttribute("download")) return;
    const to = new URL(link.href);
    if (to.origin !== location.origin || !/^\/(station\/[^/]+|alerts|system)?$/.test(to.pathname)) return;
    if (to.hash && to.pathname === location.pathname) return;
    event.preventDefault();
    navigate(to.pathname + to.search);
  });
}
