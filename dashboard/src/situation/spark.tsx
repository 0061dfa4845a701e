import { computed } from "@preact/signals";
import { columns, gapSeconds } from "../chart/series";
import { sparkPath } from "../domain/spark";
import { SPARK_S, sparkMarks } from "../store/sparks";
import { now } from "../store/store";

const WIDTH = 72;
const HEIGHT = 26;

/** The picture moves a pixel every few minutes; drawing it each second would be waste. */
const minute = computed(() => Math.floor(now.value / 60_000) * 60);

/** A hint beside the numbers; the hydrograph says the same with words. */
export function Spark({ id, reportEveryS }: { id: string; reportEveryS: number }) {
  const toS = minute.value + 60;
  const [times, values] = columns(sparkMarks(id), gapSeconds("10min", reportEveryS));
  const path = sparkPath(times, values, { width: WIDTH, height: HEIGHT, fromS: toS - SPARK_S, toS });
  return (
    <svg
      class="spark"
      viewBox={`-1 -2 ${WIDTH + 2} ${HEIGHT + 4}`}
      width={WIDTH}
      height={30}
      aria-hidden="true"
    >
      <path d={path} />
    </svg>
  );
}
