import { expect, test } from "vitest";
import { RELOAD_AT_MOST_EVERY_MS, reloadWaitMs } from "../src/domain/reload";

test("a page that somebody opened may reload itself at once", () => {
  expect(reloadWaitMs("navigate", 0)).toBe(0);
  expect(reloadWaitMs("navigate", 9_000)).toBe(0);
});

test("a page that a reload has opened waits out the minute, never more", () => {
  expect(reloadWaitMs("reload", 0)).toBe(RELOAD_AT_MOST_EVERY_MS);
  expect(reloadWaitMs("reload", 20_000)).toBe(RELOAD_AT_MOST_EVERY_MS - 20_000);
  expect(reloadWaitMs("reload", 86_400_000)).toBe(0);
});

test("a browser that does not say how the page was opened is taken for one that has just reloaded it", () => {
  expect(reloadWaitMs(undefined, 0)).toBe(RELOAD_AT_MOST_EVERY_MS);
});
