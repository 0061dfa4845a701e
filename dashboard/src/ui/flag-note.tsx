/** What the checks said of a number, where that is to be known before anybody acts on it. */
import type { StationLevel } from "../api/types";
import { t } from "../store/store";

export function FlagNote({ flag }: { flag: StationLevel["flag"] }) {
  if (flag === 3) return <span class="flag flag-suspect">{t.value.flagSuspect}</span>;
  if (flag === 4) return <span class="flag flag-fail">{t.value.flagFail}</span>;
  if (flag === 9) return <span class="flag flag-fail">{t.value.flagMissing}</span>;
  return null;
}
