/** What stands over a chart while there is nothing to see. */
import { t } from "../store/store";
import type { History } from "./history";

export function noteOf(past: History | null, empty: boolean): string {
  const words = t.value;
  if (past === null) return words.chartChoose;
  if (past.state === "loading") return words.loading;
  if (past.state === "failed") return words.chartFailed;
  return empty ? words.chartEmpty : "";
}
