/** What the public HTTP API answers (docs: /api/docs). Fields may be added there; none is renamed. */

export interface Bilingual {
  readonly ja: string;
  readonly en: string;
}

export type Freshness = "fresh" | "late" | "dead";
/** QARTOD: 1 good, 2 not evaluated, 3 suspect, 4 fail, 9 missing. */
export type Flag = 1 | 2 | 3 | 4 | 9;
/** CAP status: 通常 / 訓練 / 試験. */
export type Status = "actual" | "exercise" | "test";

export interface Arrival {
  readonly earliest: string;
  readonly likely: string;
  readonly latest: string | null;
}

export interface NextThreshold {
  readonly level: number;
  readonly value_m: number;
  readonly metres_to_go: number;
}

/** Ten-minute means of every station; null where nothing good was measured. */
export interface Recent {
  readonly from: string;
  readonly step_s: number;
  readonly levels: Readonly<Record<string, readonly (number | null)[]>>;
}

/** What a level is called and looks like, in force now. */
export interface FloodLevel {
  readonly level: number;
  readonly name: Bilingual;
  readonly colour: string;
  readonly text_colour: string;
}

/** One station's line in `levels/latest`. */
export interface StationLevel {
  readonly station_id: string;
  readonly name: Bilingual;
  readonly river: string;
  readonly river_name?: Bilingual;
  readonly level_m: number | null;
  /** What the station is judged by: `level_m`, or where that failed the newest trusted level. */
  readonly judged_m?: number | null;
  readonly judged_at?: string | null;
  readonly observed_at: string | null;
  readonly age_s: number | null;
  readonly flag: Flag | null;
  readonly flood_level: number;
  readonly flood_level_name: Bilingual;
  readonly next_threshold: NextThreshold | null;
  readonly freeboard_m: number | null;
  readonly trend_m_per_h: number | null;
  /** Why the value carries its flag. */
  readonly quality_reasons?: readonly string[];
  /** When the next threshold may be reached: a straight line's guess (参考). */
  readonly arrival?: Arrival | null;
  /** The way from the level-1 to the level-4 threshold: 0 there, 1 here. */
  readonly level_share?: number | null;
  readonly ward?: Bilingual | null;
  readonly freshness: Freshness;
  /** Which link of the chain is quiet, where no reading comes on time. */
  readonly silence?: "sensor" | "gateway" | "server" | null;
  /** Interval at which this station is expected to report now. */
  readonly report_every_s?: number;
  readonly lon?: number | null;
  readonly lat?: number | null;
}

export interface LevelsLatest {
  readonly as_of: string;
  /** Nothing is taken in, however fresh the numbers still are. */
  readonly server_behind?: boolean;
  readonly stations: readonly StationLevel[];
}

export interface Threshold {
  readonly level: number;
  readonly value_m: number;
  readonly name: Bilingual;
}

export interface Sensor {
  readonly sensor_id: string | number;
  readonly quantity: string;
  readonly unit: string;
  readonly report_every_s: number | null;
}

export interface Station {
  readonly station_id: string;
  readonly name: Bilingual;
  readonly river: { readonly river_id: string; readonly name: Bilingual };
  readonly lon: number | null;
  readonly lat: number | null;
  readonly thresholds: readonly Threshold[];
  readonly crest_m: number | null;
  readonly sensors: readonly Sensor[];
  readonly km?: number | null;
  readonly ward?: Bilingual | null;
  readonly gauge_zero_tp_m?: number | null;
  readonly datums?: readonly { readonly valid_from: string; readonly gauge_zero_tp_m: number | null }[];
  readonly design_high_water_m?: number | null;
  readonly crest_left_m?: number | null;
  readonly crest_right_m?: number | null;
  /** Nearest first. */
  readonly neighbours?: { readonly upstream: readonly string[]; readonly downstream: readonly string[] };
  /** Only where one station is asked for: from the left bank to the right, above gauge zero. */
  readonly cross_section?: {
    readonly valid_from: string;
    readonly points: readonly (readonly [number, number])[];
  } | null;
}

/** A box deployed at a station, or one that was. */
export interface Device {
  readonly device_id: string;
  readonly kind: string;
  readonly quantity: string;
  readonly sensor_quantity: string;
  readonly valid_from: string;
  readonly valid_to: string | null;
  readonly status: Readonly<Record<string, unknown>> | null;
  readonly status_at: string | null;
  readonly heard_at: string | null;
}

export type Resolution = "raw" | "10min" | "hour" | "day" | "week";

export interface RawPoint {
  readonly time: string;
  readonly value: number | null;
  readonly flag: Flag | null;
  /** Names of what quality control found, where it found any. */
  readonly reasons?: readonly string[];
}

export interface SummaryPoint {
  readonly time: string;
  readonly min: number | null;
  readonly mean: number | null;
  readonly max: number | null;
  readonly n: number;
  /** Of amounts: what fell in it. */
  readonly sum?: number | null;
  readonly complete?: boolean;
}

export type Point = RawPoint | SummaryPoint;

export interface Readings {
  readonly station_id: string;
  readonly quantity: string;
  readonly unit: string;
  readonly resolution: Resolution;
  readonly points: readonly Point[];
  readonly next: string | null;
}

export type AlertState = "pending" | "firing" | "acknowledged" | "shelved" | "resolved" | "withdrawn";

export interface Alert {
  readonly id: number;
  /** Null for what is of no station: a gateway, a river, the site. */
  readonly station_id: string | null;
  readonly river?: string | null;
  readonly kind: string;
  /** `gateway:NAME`, `river:ID`, or empty. */
  readonly subject?: string;
  readonly flood_level: number | null;
  /** One of `AlertState`; a newer server may know more. */
  readonly state: string;
  readonly started_at: string;
  readonly ended_at: string | null;
  readonly retroactive: boolean;
  readonly verified: boolean;
  readonly status: Status;
  readonly value_m?: number | null;
  readonly threshold_m?: number | null;
  readonly peak_m?: number | null;
  readonly acknowledged_at?: string | null;
  readonly acknowledged_by?: string | null;
  /** By a person. */
  readonly confirmed_at?: string | null;
  readonly confirmed_by?: string | null;
  /** Withdrawn by a person. */
  readonly dismissed_at?: string | null;
  readonly dismissed_by?: string | null;
  /** While a silence covers it. */
  readonly shelved_until?: string | null;
  readonly incident_id?: number | null;
  readonly detail?: Readonly<Record<string, unknown>>;
  /** How many things people have written down with it. */
  readonly notes?: number;
}

export interface Attempt {
  readonly at: string;
  readonly outcome: "delivered" | "failed" | "refused";
  readonly answer: string;
}

/** Something that somebody was told, or is still to be told. */
export interface Notification {
  readonly id: number;
  readonly contact_id: string | null;
  readonly contact_name: string | null;
  readonly channel: string;
  readonly recipient: string;
  readonly event: string;
  readonly created_at: string;
  readonly attempts: number;
  readonly delivered_at: string | null;
  readonly given_up_at: string | null;
  readonly last_error: string | null;
  readonly instead_of: number | null;
  readonly tried: readonly Attempt[];
}

/** A line of the audit. */
export interface Entry {
  readonly id: number;
  readonly at: string;
  /** `kawamori` where the software did it. */
  readonly who: string;
  readonly event: string;
  readonly note: string | null;
  readonly detail: Readonly<Record<string, unknown>>;
}

export interface AlertDetail extends Alert {
  readonly notifications: readonly Notification[];
  readonly history: readonly Entry[];
}

export interface Site {
  readonly name: Bilingual;
  readonly status: Status;
  readonly notice: Bilingual | null;
  readonly time_zone: string;
}

export interface StreamReading {
  readonly station_id: string;
  readonly sensor_id?: string | number;
  readonly quantity: string;
  readonly time: string;
  readonly value: number | null;
  readonly flag: Flag | null;
}

/** Whether people are being told, in a heartbeat: `why` has codes, empty where `ok`. */
export interface AlertingWord {
  readonly ok: boolean;
  readonly why: readonly string[];
}

/** What everybody must see for as long as it stands: it keeps people from being told of a flood. */
export interface Notice {
  readonly kind: string;
  readonly key: string;
  readonly since: string;
  /** null: until somebody changes it. */
  readonly until: string | null;
  readonly by: string | null;
  readonly text: Bilingual;
}

/** GeoJSON as `stations.geojson` sends it; only what the map draws. */
export interface GeoFeature {
  readonly type: "Feature";
  readonly geometry: {
    readonly type: string;
    readonly coordinates: unknown;
  } | null;
  readonly properties: Readonly<Record<string, unknown>> | null;
}

export interface GeoCollection {
  readonly features: readonly GeoFeature[];
}

/** How the system itself is. A part that could not be learned is null, and named in `unknown`. */
export interface System {
  readonly as_of: string;
  readonly alerting: {
    readonly ok: boolean;
    readonly why: readonly string[];
    readonly leader: string | null;
    readonly behind_s: number;
    readonly oldest_unsent_s: number;
    readonly last_self_test: { readonly at: string; readonly ok: boolean } | null;
  } | null;
  readonly gateways:
    | readonly {
        readonly gateway_id: string;
        readonly seen_at: string;
        readonly alive?: boolean;
        readonly backlog: number;
        /** It holds rows of which none is stored. */
        readonly waiting?: boolean;
      }[]
    | null;
  readonly ingest?:
    | readonly { readonly process: string; readonly seen_at: string; readonly alive: boolean }[]
    | null;
  readonly database?: { readonly answers_ms: number; readonly size_bytes: number } | null;
  readonly stations?: { readonly fresh: number; readonly late: number; readonly dead: number } | null;
  readonly intake?: {
    readonly last_batch_at: string | null;
    readonly readings_last_minute: number;
    readonly batches_last_minute: number;
  } | null;
  readonly quarantine?: {
    readonly last_hour: number;
    readonly last_day: number;
    readonly newest: { readonly id: number; readonly received_at: string; readonly reason: string } | null;
  } | null;
  readonly stream?: { readonly clients: number } | null;
  readonly page_version?: string | null;
  readonly clock?: { readonly host_ahead_s: number; readonly ok: boolean } | null;
  readonly unknown?: readonly string[];
}

/** A message in quarantine, without its bytes. */
export interface Refusal {
  readonly id: number;
  readonly received_at: string;
  readonly topic: string;
  readonly device_id: string | null;
  readonly reason: string;
}

/** A layer of the operator's own map; its file never changes. */
export interface BasemapLayer {
  readonly name: string;
  readonly kind: "geojson" | "pmtiles";
  readonly url: string;
  readonly attribution: string;
  readonly min_zoom: number;
  readonly max_zoom: number;
  /** West, south, east, north. */
  readonly bounds: readonly [number, number, number, number];
}

export interface Basemap {
  readonly layers: readonly BasemapLayer[];
  /** Pictures of another host, only where the site has set them. */
  readonly tiles: { readonly url: string; readonly attribution: string } | null;
}
