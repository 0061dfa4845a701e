/** How old a station's number is. It ticks by itself each second, so that what stands around it need not be drawn again. */
import type { StationLevel } from "../api/types";
import { ageWords } from "../domain/age";
import { clockOrDay } from "../domain/format";
import { ageSeconds, aheadSeconds, freshnessNow, measuredAt } from "../domain/freshness";
import { lost, now, t } from "../store/store";

/** A dead one says first when it is from: 「02:14 の値」. */
export function Age({ station }: { station: StationLevel }) {
  const words = t.value;
  const at = measuredAt(station);
  const age = ageSeconds(at, now.value);
  if (age === null || at === null) return <>{words.neverReported}</>;
  if (aheadSeconds(at, now.value) > 0)
    return <strong class="age-of">{words.fromTheFuture(clockOrDay(Date.parse(at), now.value))}</strong>;
  const dead = lost.value || freshnessNow(station, now.value) === "dead";
  return (
    <>
      {dead && (
        <>
          <strong class="age-of">{words.valueOf(clockOrDay(Date.parse(at), now.value))}</strong>{" "}
        </>
      )}
      <span class="age-ticking">{ageWords(age, words)}</span>
    </>
  );
}
