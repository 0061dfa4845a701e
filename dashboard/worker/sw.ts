/**
 * Keeps the page's own files, so that a screen that is switched on while the server is away still says what it knows.
 * Never answers for the API: a river's level from a cache would be a lie. (What was last known, with its time, the page
 * keeps itself: `src/store/snapshot.ts`.)
 */
import { asset, isPage, keepAll, type Later, mayBeKept, page } from "./keep";

declare const self: ServiceWorkerGlobalScope;

self.addEventListener("install", () => void self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("message", (event) => {
  if (event.data === "keep") event.waitUntil(keepAll().catch(() => undefined));
});
self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== self.location.origin) return;
  const later: Later = (work) => event.waitUntil(work.catch(() => undefined));
  if (request.mode === "navigate") {
    if (isPage(url.pathname)) event.respondWith(page(request, later));
  } else if (mayBeKept(url.pathname)) event.respondWith(asset(request, later));
});
