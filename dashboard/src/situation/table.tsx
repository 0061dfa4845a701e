import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { keepSparks } from "../store/sparks";
import { levels, order, stationLevels, t } from "../store/store";
import { held, touchedMs } from "./order";
import { LevelRow } from "./row";

/** Moving a row in the page takes the keyboard's focus from it; give it back. */
function useKeptFocus(ids: readonly string[]) {
  const focused = useRef<HTMLElement | null>(null);
  useLayoutEffect(() => {
    const was = focused.current;
    if (was?.isConnected && document.activeElement === document.body) was.focus({ preventScroll: true });
  }, [ids]);
  return focused;
}

export function LevelTable() {
  const words = t.value;
  const ids = order.value;
  const known = stationLevels.value;
  const focused = useKeptFocus(ids);
  // Too narrow for the column: nothing is fetched for it either.
  useEffect(() => (matchMedia("(min-width: 1400px)").matches ? keepSparks() : undefined), []);
  const touch = () => {
    touchedMs.value = performance.now();
  };
  const leave = (event: { currentTarget: EventTarget | null }) => {
    const table = event.currentTarget;
    if (table instanceof HTMLElement && table.matches(":hover")) return;
    touchedMs.value = null;
  };
  return (
    <section class="panel panel-table" id="levels" aria-labelledby="levels-title" tabIndex={-1}>
      <div class="panel-head">
        <h2 id="levels-title">{words.table}</h2>
        <span class="panel-note">{words.basisNote}</span>
        {held.value && <span class="panel-note held">{words.holdNote}</span>}
      </div>
      <div class="scroll">
        <table
          class="levels"
          role="table"
          aria-labelledby="levels-title"
          onPointerMove={touch}
          onPointerDown={touch}
          onKeyDown={touch}
          onPointerLeave={leave}
          onFocusIn={(event) => {
            focused.current = event.target as HTMLElement;
            touch();
          }}
          onFocusOut={leave}
        >
          <thead role="rowgroup">
            <tr role="row">
              <th role="columnheader" scope="col">
                {words.colState}
              </th>
              <th role="columnheader" scope="col">
                {words.colStation}
              </th>
              <th role="columnheader" scope="col" class="num">
                {words.colLevel} <small>{words.unitM}</small>
              </th>
              <th role="columnheader" scope="col" class="num">
                {words.colTrend} <small>{words.unitCm10}</small>
              </th>
              <th role="columnheader" scope="col" class="c-spark">
                {words.colSpark}
              </th>
              <th role="columnheader" scope="col">
                {words.colNext}
              </th>
              <th role="columnheader" scope="col" class="num">
                {words.colFreeboard} <small>{words.unitM}</small>
              </th>
              <th role="columnheader" scope="col" class="num">
                {words.colAge}
              </th>
            </tr>
          </thead>
          <tbody role="rowgroup">
            {ids.map((id) => {
              const station = known.get(id);
              return station ? <LevelRow key={id} station={station} /> : null;
            })}
          </tbody>
        </table>
        {ids.length === 0 && <p class="empty">{levels.value === null ? words.loading : words.noStations}</p>}
      </div>
    </section>
  );
}
