/** Why a message was refused: the server says `field: what is wrong with it`, in English. Pure. */

const REASONS = {
  json: /^message: not valid JSON/,
  large: /^message: \d+ bytes/,
  offset: /^time: has no offset/,
  ahead: /^time: more than .* ahead/,
  old: /^time: older/,
  undeployed: /^time: the device was not deployed/,
  measures: /^quantity: this device is not deployed/,
  sentinel: /^value: a sentinel/,
  quantity: /^quantity: not a registered/,
  unit: /^unit: not a registered/,
  unitOther: /^unit: measures something else/,
  device: /^device: not registered/,
  database: /^database:/,
} as const;

export type RefusalKind = keyof typeof REASONS;

/** null: only the server's own words can say it. */
export function refusalKind(reason: string): RefusalKind | null {
  return (Object.keys(REASONS) as RefusalKind[]).find((kind) => REASONS[kind].test(reason)) ?? null;
}
