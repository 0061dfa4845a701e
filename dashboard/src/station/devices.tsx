/** The boxes at the station: when each was last heard, its battery and its link; and those before them. */

import type { Device } from "../api/types";
import { ageWords } from "../domain/age";
import { clockOrDay, dayOrYear } from "../domain/format";
import { ageSeconds } from "../domain/freshness";
import { word } from "../i18n";
import { now, t } from "../store/store";
import { devices } from "./state";
import { stationWords } from "./station-catalogue";

const day = (iso: string) => dayOrYear(Date.parse(iso), now.value);

function measures(device: Device): string {
  const words = stationWords.value;
  const named = (quantity: string) => word(words.quantities, quantity);
  const { quantity, sensor_quantity: becomes } = device;
  return quantity === becomes
    ? words.measures(named(becomes))
    : words.converts(named(quantity), named(becomes));
}

/** Whatever the box tells, its battery and its signal first. */
function Status({ device }: { device: Device }) {
  const words = stationWords.value;
  const { battery_v: battery, rssi_dbm: rssi, ...rest } = device.status ?? {};
  const said: [string, string][] = [];
  if (typeof battery === "number") said.push([words.battery, `${battery.toFixed(2)} V`]);
  if (typeof rssi === "number") said.push([words.signal, `${rssi} dBm`.replace("-", "−")]);
  for (const [key, value] of Object.entries(rest))
    if (typeof value === "number" || typeof value === "string") said.push([key, String(value)]);
  if (said.length === 0 || device.status_at === null) return <p class="device-status">{words.noStatus}</p>;
  return (
    <p class="device-status">
      {said.map(([key, value]) => (
        <span key={key}>
          {key} <b>{value}</b>
        </span>
      ))}
      <small>{words.statusAt(clockOrDay(Date.parse(device.status_at), now.value))}</small>
    </p>
  );
}

function Heard({ device }: { device: Device }) {
  const words = stationWords.value;
  const age = ageSeconds(device.heard_at, now.value);
  if (age === null || device.heard_at === null) return <p>{words.neverHeard}</p>;
  return (
    <p>
      {words.heard} {clockOrDay(Date.parse(device.heard_at), now.value)}{" "}
      <small>{ageWords(age, t.value)}</small>
    </p>
  );
}

function Box({ device }: { device: Device }) {
  const words = stationWords.value;
  const over = device.valid_to !== null && Date.parse(device.valid_to) <= now.value;
  return (
    <li class={over ? "device device-past" : "device"} data-testid="device" data-device-id={device.device_id}>
      <p>
        <strong class="device-name">{device.device_id}</strong> {device.kind}{" "}
        <small>{measures(device)}</small>
      </p>
      <p>
        {device.valid_to === null
          ? words.since(day(device.valid_from))
          : words.between(day(device.valid_from), day(device.valid_to))}
      </p>
      {!over && <Heard device={device} />}
      {!over && <Status device={device} />}
    </li>
  );
}

export function Devices() {
  const words = stationWords.value;
  const { value: known, failed } = devices.value;
  const isPast = (d: Device) => d.valid_to !== null && Date.parse(d.valid_to) <= now.value;
  const past = known?.filter(isPast) ?? [];
  const current = known?.filter((d) => !isPast(d)) ?? [];
  return (
    <section class="panel station-devices" aria-labelledby="devices-title">
      <div class="panel-head">
        <h3 id="devices-title">{words.devices}</h3>
      </div>
      {failed && (
        <p class="panel-foot wrong" role="status">
          {words.devicesFailed}
        </p>
      )}
      {known === null && !failed && <p class="empty">{t.value.loading}</p>}
      {known?.length === 0 && <p class="empty">{words.devicesNone}</p>}
      <ul class="devices">
        {current.map((device) => (
          <Box key={`${device.device_id} ${device.quantity} ${device.valid_from}`} device={device} />
        ))}
      </ul>
      {past.length > 0 && (
        <details class="devices-past">
          <summary>{words.devicesPast(past.length)}</summary>
          <ul class="devices">
            {past.map((device) => (
              <Box key={`${device.device_id} ${device.quantity} ${device.valid_from}`} device={device} />
            ))}
          </ul>
        </details>
      )}
    </section>
  );
}
