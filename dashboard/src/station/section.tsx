/** The river cut across at the station, with the water standing in it; a staff where no section is surveyed. */
import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { crestColour, lineColour } from "../chart/picture";
import { read } from "../domain/datum";
import { dayOrYear, metres } from "../domain/format";
import { believed, freshnessNow } from "../domain/freshness";
import { crests, type Point, scaleFor, spreadLabels, waterAt } from "../domain/section";
import { pick } from "../i18n";
import { lang, lost, now, t } from "../store/store";
import { levelWord } from "../ui/level-chip";
import { datum, detail, level, registered } from "./state";
import { stationWords } from "./station-catalogue";
import { heightIn } from "./words";

interface Mark {
  readonly height: number;
  readonly name: string;
  /** As there is room for beside a picture. */
  readonly short: string;
  readonly colour: string;
}

/** Thresholds and, where no levee is drawn, its crest: highest first. */
function marksOf(withCrest: boolean): readonly Mark[] {
  const at = registered.value;
  if (!at) return [];
  const found: Mark[] = at.thresholds.map((th) => ({
    height: th.value_m,
    name: pick(th.name, lang.value),
    short: `${th.level} ${levelWord(th.level)}`,
    colour: lineColour(th.level),
  }));
  const { crest } = t.value;
  if (withCrest && at.crest_m !== null)
    found.push({ height: at.crest_m, name: crest, short: crest, colour: crestColour() });
  return found.sort((a, b) => b.height - a.height);
}

/** Beside a picture whose heading says the datum. */
const short = (height: number) => metres(read(height, datum.value));

/** The level people judge by: what failed the checks is no water. */
function waterNow(): { readonly height: number | null; readonly dead: boolean } {
  const at = level.value;
  if (!at) return { height: null, dead: true };
  return { height: believed(at), dead: lost.value || freshnessNow(at, now.value) === "dead" };
}

const path = (points: readonly (readonly [number, number])[]) =>
  points.map(([x, y], i) => `${i === 0 ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

/** The room there is; the section stands on this page once. */
const room = signal({ width: 0, height: 0 });

function useRoom() {
  const box = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const host = box.current;
    if (!host) return;
    const measure = () => {
      room.value = { width: host.clientWidth, height: Math.min(host.clientHeight, MOST_HEIGHT) };
    };
    measure();
    const watch = new ResizeObserver(measure);
    watch.observe(host);
    return () => watch.disconnect();
  }, []);
  return box;
}

const MOST_HEIGHT = 480;
/** Room for the words of the thresholds at the right edge. */
const LABELS = 165;
const LINE = 17;

function Picture({ says, children }: { says: string; children: ComponentChildren }) {
  const { width, height } = room.value;
  return (
    <svg
      class="section-svg"
      width={width}
      height={height}
      viewBox={`0 0 ${width} ${height}`}
      role="img"
      aria-label={says}
    >
      <defs>
        <pattern
          id="hatch-dead"
          width="8"
          height="8"
          patternUnits="userSpaceOnUse"
          patternTransform="rotate(45)"
        >
          <rect class="hatch-ground" width="8" height="8" />
          <rect class="hatch-line" width="3" height="8" />
        </pattern>
        <pattern
          id="hatch-earth"
          width="7"
          height="7"
          patternUnits="userSpaceOnUse"
          patternTransform="rotate(-45)"
        >
          <rect class="earth" width="7" height="7" />
          <rect class="earth-line" width="1.5" height="7" />
        </pattern>
      </defs>
      {children}
    </svg>
  );
}

/** Lines at their heights, and their words moved apart where they would stand on each other. */
function Ticks({ marks, y, from, to }: TicksProps) {
  const ys = marks.map((m) => y(m.height));
  const placed = spreadLabels(ys, LINE, room.value.height - 4);
  return (
    <>
      {marks.map((mark, i) => {
        const at = (ys[i] ?? 0).toFixed(1);
        const words = placed[i] ?? 0;
        const line = `M${from(mark.height).toFixed(1)} ${at}H${to}`;
        return (
          <g key={mark.short}>
            <path class="tick-paper" d={line} />
            <path class="tick" d={line} stroke={mark.colour} />
            <path
              class="tick-lead"
              d={`M${to} ${at}l10 ${(words - Number(at)).toFixed(1)}`}
              stroke={mark.colour}
            />
            <text x={to + 13} y={words + 4}>
              {mark.short} <tspan class="tick-height">{short(mark.height)}</tspan>
            </text>
          </g>
        );
      })}
    </>
  );
}

interface TicksProps {
  readonly marks: readonly Mark[];
  readonly y: (height: number) => number;
  readonly from: (height: number) => number;
  readonly to: number;
}

/** The water's level, named beside its surface. */
function Surface({ height, dead, x, y }: { height: number; dead: boolean; x: number; y: number }) {
  return (
    <g class={dead ? "surface surface-dead" : "surface"}>
      <path d={`M${x} ${y - 2}l-6 -9h12z`} />
      <text x={x} y={room.value.height - y > 56 ? y + 19 : y - 16} text-anchor="middle">
        {heightIn(height, datum.value)}
      </text>
    </g>
  );
}

function describe(height: number | null, marks: readonly Mark[], more: readonly string[]): string {
  const words = stationWords.value;
  const water = height === null ? t.value.noData : heightIn(height, datum.value);
  const parts = [...marks.map((m) => words.stands(m.name, heightIn(m.height, datum.value))), ...more];
  return words.sectionSays(water, parts.join("、"));
}

function CrossSection({ points }: { points: readonly Point[] }) {
  const { width, height: bottom } = room.value;
  const words = stationWords.value;
  const { height, dead } = waterNow();
  const at = detail.value.value;
  const marks = marksOf(false);
  const tops = crests(points);
  const right = width - LABELS;
  const crestHeights = [at?.crest_left_m, at?.crest_right_m].filter(
    (h): h is number => typeof h === "number",
  );
  const scale = scaleFor(
    points.map(([x]) => x),
    [
      ...points.map(([, z]) => z),
      ...marks.map((m) => m.height),
      ...crestHeights,
      ...(height === null ? [] : [height]),
    ],
    { left: 8, right, top: 38, bottom: bottom - 6 },
  );
  const to = ([x, z]: Point) => [scale.x(x), scale.y(z)] as const;
  const ground = points.map(to);
  const water = height === null ? [] : waterAt(points, height).map(to);
  const [first, last] = [ground[0]?.[0] ?? 0, ground.at(-1)?.[0] ?? 0];
  const surfaceXs = water.map(([x]) => x);
  const banks = tops
    ? ([
        [words.left, tops.left, at?.crest_left_m],
        [words.right, tops.right, at?.crest_right_m],
      ] as const)
    : [];
  const isNarrow = tops !== null && scale.x(tops.right[0]) - scale.x(tops.left[0]) < 200;
  const bankText = (name: string, crest: number) =>
    words.stands(`${name}${t.value.crest}`, heightIn(crest, datum.value));
  const says = describe(
    height,
    marks,
    banks.flatMap(([name, , crest]) => (typeof crest === "number" ? [bankText(name, crest)] : [])),
  );
  return (
    <Picture says={says}>
      {water.length > 0 && <path class={dead ? "water water-dead" : "water"} d={`${path(water)}Z`} />}
      <path class="ground" d={`${path(ground)}L${last} ${bottom}L${first} ${bottom}Z`} />
      <Ticks
        marks={marks}
        y={scale.y}
        from={(h) => Math.min(right - 26, ...waterAt(points, h).map(([x]) => scale.x(x)))}
        to={right}
      />
      {banks.map(([name, top, crest], i) => {
        const height_ = typeof crest === "number" ? crest : top[1];
        const x = scale.x(top[0]);
        const y = scale.y(height_);
        // Side by side where the river is drawn wide enough, else one above the other.
        const raise = i === 1 && isNarrow ? 16 : 0;
        return (
          <g key={name} class="levee">
            <path d={`M${x - 9} ${y}h18`} stroke={crestColour()} />
            <text x={Math.max(8, x - 14)} y={y - 7 - raise} text-anchor={i === 0 ? "start" : "end"}>
              {name} {short(height_)}
            </text>
          </g>
        );
      })}
      {height !== null && water.length > 0 && (
        <Surface
          height={height}
          dead={dead}
          x={(Math.min(...surfaceXs) + Math.max(...surfaceXs)) / 2}
          y={scale.y(height)}
        />
      )}
    </Picture>
  );
}

/** Where no section is surveyed: the marks on a staff, and the water up to its level. */
function Staff() {
  const { width, height: bottom } = room.value;
  const { height, dead } = waterNow();
  const marks = marksOf(true);
  const heights = [...marks.map((m) => m.height), ...(height === null ? [] : [height]), 0];
  const right = width - LABELS;
  const left = right - 44;
  const { y } = scaleFor([0, 1], heights, { left: 0, right, top: 22, bottom: bottom - 6 });
  return (
    <Picture says={describe(height, marks, [])}>
      {height !== null && (
        <rect
          class={dead ? "water water-dead" : "water"}
          x="8"
          y={y(height)}
          width={right - 8}
          height={Math.max(0, bottom - y(height))}
        />
      )}
      <rect class="staff" x={left} y="8" width="26" height={bottom - 8} />
      <Ticks marks={marks} y={y} from={() => left} to={right} />
      {height !== null && <Surface height={height} dead={dead} x={Math.max(60, left / 2)} y={y(height)} />}
    </Picture>
  );
}

export function Section() {
  const words = stationWords.value;
  const box = useRoom();
  const surveyed = detail.value.value?.cross_section;
  const points = surveyed?.points ?? [];
  const { height } = waterNow();
  const dry = points.length > 2 && height !== null && waterAt(points, height).length === 0;
  return (
    <section class="panel station-section" aria-labelledby="section-title" data-testid="section">
      <div class="panel-head">
        <h3 id="section-title">{points.length > 2 ? words.section : words.staff}</h3>
        <p class="panel-note">
          {words.datumUse[datum.value.kind]}
          {" · "}
          {surveyed
            ? words.sectionOf(dayOrYear(Date.parse(surveyed.valid_from), 0))
            : detail.value.value && words.staffNote}
        </p>
      </div>
      <div class="section-box" ref={box}>
        {room.value.width > 0 &&
          registered.value &&
          (points.length > 2 ? <CrossSection points={points} /> : <Staff />)}
      </div>
      {dry && <p class="panel-foot">{words.dry}</p>}
    </section>
  );
}
