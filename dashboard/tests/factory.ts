/** Defaults for what a test is not about. */
import type { Alert, StationLevel, StreamReading } from "../src/api/types";

export function station(given: Partial<StationLevel> = {}): StationLevel {
  return {
    station_id: "st1",
    name: { ja: "中央橋", en: "Central Bridge" },
    river: "kita",
    level_m: 2.1,
    observed_at: "2026-07-13T17:10:00Z",
    age_s: 20,
    flag: 1,
    flood_level: 1,
    flood_level_name: { ja: "水防団待機水位超過", en: "standby" },
    next_threshold: { level: 2, value_m: 2.5, metres_to_go: 0.4 },
    freeboard_m: 2.5,
    trend_m_per_h: 0.3,
    freshness: "fresh",
    report_every_s: 60,
    ...given,
  };
}

export function alert(given: Partial<Alert> = {}): Alert {
  return {
    id: 1,
    station_id: "st1",
    kind: "level",
    flood_level: 3,
    state: "firing",
    started_at: "2026-07-13T17:10:00Z",
    ended_at: null,
    retroactive: false,
    verified: true,
    status: "actual",
    ...given,
  };
}

export function reading(given: Partial<StreamReading> = {}): StreamReading {
  return {
    station_id: "st1",
    quantity: "water_level",
    time: "2026-07-13T17:10:00Z",
    value: 2.1,
    flag: 1,
    ...given,
  };
}
