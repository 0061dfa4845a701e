import { signal } from "@preact/signals";
import { beforeEach, expect, test, vi } from "vitest";
import { keepLooking, type Look, NOT_YET } from "../src/system/look";

beforeEach(() => {
  vi.useFakeTimers();
});
const fails = async () => {
  throw new TypeError("Failed to fetch");
};

test("what was found stays, and is old once a look has failed", async () => {
  const look = signal<Look<string>>(NOT_YET);
  const get = vi.fn(async () => "well");
  const stop = keepLooking(look, get);
  await vi.advanceTimersByTimeAsync(0);
  expect(look.value).toEqual({ found: "well", failed: false });
  get.mockImplementationOnce(fails);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(look.value).toEqual({ found: "well", failed: true });
  await vi.advanceTimersByTimeAsync(5_000);
  expect(look.value).toEqual({ found: "well", failed: false });
  stop();
});

test("nothing is left over for whoever comes back, not even an answer that was under way", async () => {
  const look = signal<Look<string>>(NOT_YET);
  const stop = keepLooking(look, () => new Promise((done) => setTimeout(() => done("well"), 1_000)));
  await vi.advanceTimersByTimeAsync(1_000);
  expect(look.value.found).toBe("well");
  await vi.advanceTimersByTimeAsync(5_500);
  stop();
  expect(look.value).toEqual(NOT_YET);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(look.value).toEqual(NOT_YET);
});
