import { expect, test } from "vitest";
import { refusalKind } from "../src/domain/refusal";

test("what ingest says of a refused message has words of its own", () => {
  const said = {
    "message: not valid JSON": "json",
    "message: 300000 bytes, more than 262144": "large",
    "time: has no offset from UTC": "offset",
    "time: more than 0:05:00 ahead of its arrival": "ahead",
    "time: older than the oldest accepted, 3653 days": "old",
    "time: older than the raw readings that are kept": "old",
    "time: the device was not deployed then": "undeployed",
    "quantity: this device is not deployed to measure it": "measures",
    "value: a sentinel that stands for no measurement": "sentinel",
    "quantity: not a registered quantity": "quantity",
    "unit: not a registered unit": "unit",
    "unit: measures something else than the quantity": "unitOther",
    "device: not registered": "device",
    "database: numeric field overflow": "database",
  };
  for (const [reason, kind] of Object.entries(said)) expect(refusalKind(reason), reason).toBe(kind);
});

test("what nobody foresaw stays in the server's words", () => {
  expect(refusalKind("value: expected `float`, got `str`")).toBeNull();
});
