import { computed } from "@preact/signals";
import type { StationLevel } from "../api/types";
import { sparkPath } from "../domain/spark";
import { recent, SPARK_HOURS, sparkOf } from "../store/sparks";
import { now } from "../store/store";

const WIDTH = 76;
const HEIGHT = 24;

/** The picture moves a pixel every few minutes; drawing it each second would be waste. */
const minute = computed(() => Math.floor(now.value / 60_000) * 60);

/** A hint beside the numbers; the station's view says the same with words. */
export function Spark({ station }: { station: StationLevel }) {
  const toS = minute.value + 60;
  const [times, values] = sparkOf(recent.value, station);
  const path = sparkPath(times, values, {
    width: WIDTH,
    height: HEIGHT,
    fromS: toS - SPARK_HOURS * 3600,
    toS,
  });
  return (
    <svg
      class="spark"
      viewBox={`-1 -2 ${WIDTH + 2} ${HEIGHT + 4}`}
      width={WIDTH}
      height={28}
      aria-hidden="true"
    >
      <path d={path} />
    </svg>
  );
}
