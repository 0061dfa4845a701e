import type { Trend } from "../domain/format";

const TURN: Record<Trend, number> = { "up-fast": -90, up: -45, level: 0, down: 45, "down-fast": 90 };

export function TrendArrow({ way }: { way: Trend }) {
  const double = way === "up-fast" || way === "down-fast";
  return (
    <svg class="arrow" viewBox="0 0 20 20" width="18" height="18" aria-hidden="true">
      <g transform={`rotate(${TURN[way]} 10 10)`}>
        <path d="M3 10h12M10 5l5.5 5L10 15" />
        {double && <path d="M5 5l5.5 5L5 15" />}
      </g>
    </svg>
  );
}
