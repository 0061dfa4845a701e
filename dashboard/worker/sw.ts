/**
 * Keeps the page's own files, so that a screen that is switched on while the server is away still says what it knows.
 * Never answers for the API: a river's level from a cache would be a lie. (What was last known, with its time, the page
 * keeps itself: `src/store/snapshot.ts`.)
 */
export {};

declare const self: ServiceWorkerGlobalScope;

const CACHE = "kawamori-page";
const SHELL = "/";
/** A server that is slower than this is treated like one that is away, where the page is already here. */
const PATIENCE_MS = 6_000;

const mayBeKept = (url: URL) => url.pathname.startsWith("/assets/") || url.pathname === "/favicon.svg";

async function asset(request: Request): Promise<Response> {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(request);
  if (kept) return kept;
  const answer = await fetch(request);
  if (answer.ok) await cache.put(request, answer.clone());
  return answer;
}

/** A navigation takes no signal of ours. */
function inTime(request: Request): Promise<Response> {
  const late = new Promise<never>((_, refuse) => setTimeout(() => refuse(new Error("late")), PATIENCE_MS));
  return Promise.race([fetch(request), late]);
}

async function page(request: Request): Promise<Response> {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(SHELL);
  try {
    const answer = await (kept ? inTime(request) : fetch(request));
    if (answer.ok) await cache.put(SHELL, answer.clone());
    return answer.status >= 500 && kept ? kept : answer;
  } catch (error) {
    if (kept) return kept;
    throw error;
  }
}

/** Fetches what the newest build has and this device lacks, one file after the other; lets go of older builds' files. */
async function keepAll(): Promise<void> {
  const answer = await fetch("/version.json", { cache: "no-store" });
  if (!answer.ok) return;
  const { version, files } = (await answer.json()) as { version: string; files: readonly string[] };
  const cache = await caches.open(CACHE);
  const shell = await (await cache.match(SHELL))?.text();
  if (!shell?.includes(version)) await cache.add(SHELL);
  const wanted = new Set([SHELL, ...files].map((file) => new URL(file, self.location.origin).href));
  for (const url of wanted) if (!(await cache.match(url))) await cache.add(url);
  for (const { url } of await cache.keys()) if (!wanted.has(url)) await cache.delete(url);
}

self.addEventListener("install", () => void self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("message", (event) => {
  if (event.data === "keep") event.waitUntil(keepAll().catch(() => undefined));
});
self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== self.location.origin) return;
  if (event.request.mode === "navigate" && !/^\/(api|lite|acknowledge|basemap)(\/|$)/.test(url.pathname))
    event.respondWith(page(event.request));
  else if (mayBeKept(url)) event.respondWith(asset(event.request));
});
