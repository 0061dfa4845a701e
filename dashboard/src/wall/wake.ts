/** Keeps the screen awake, as long as the browser lets us; and says where it does not. */
import { signal } from "@preact/signals";

export const awake = signal<"yes" | "no" | "asking">("asking");

const AGAIN_MS = 60_000;

/** The lock goes whenever the page is hidden, or the battery runs low: it is asked for again and again. */
export function keepAwake(): () => void {
  let lock: WakeLockSentinel | null = null;
  let ended = false;
  const ask = async () => {
    if (ended || awake.peek() === "yes" || document.visibilityState !== "visible") return;
    try {
      if (!("wakeLock" in navigator)) throw new Error("only over HTTPS");
      lock = await navigator.wakeLock.request("screen");
      if (ended) return void lock.release();
      awake.value = "yes";
      lock.addEventListener("release", () => {
        awake.value = "asking";
        void ask();
      });
    } catch {
      awake.value = "no";
    }
  };
  void ask();
  const timer = setInterval(ask, AGAIN_MS);
  document.addEventListener("visibilitychange", ask);
  return () => {
    ended = true;
    clearInterval(timer);
    document.removeEventListener("visibilitychange", ask);
    void lock?.release();
  };
}
