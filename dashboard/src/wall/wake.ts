/** Keeps the screen awake, as long as the browser lets us; and says where it does not. */
import { signal } from "@preact/signals";

export const awake = signal<"yes" | "no" | "asking">("asking");

/** The lock goes whenever the page is hidden: ask again each time it is seen. */
export function keepAwake(): () => void {
  let lock: WakeLockSentinel | null = null;
  let ended = false;
  const ask = async () => {
    if (ended || document.visibilityState !== "visible") return;
    try {
      if (!("wakeLock" in navigator)) throw new Error("only over HTTPS");
      lock = await navigator.wakeLock.request("screen");
      awake.value = "yes";
      lock.addEventListener("release", () => {
        awake.value = "asking";
      });
    } catch {
      awake.value = "no";
    }
  };
  void ask();
  document.addEventListener("visibilitychange", ask);
  return () => {
    ended = true;
    document.removeEventListener("visibilitychange", ask);
    void lock?.release();
  };
}
