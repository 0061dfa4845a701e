/** Whether people are being told of what happens. The line is always there, so that nothing jumps when it must shout. */

import { judgingStopped } from "../domain/alerting";
import { word } from "../i18n";
import { impaired, unanswered } from "../store/answers";
import { alertsKnown, heartbeat, lost, serverBehind, t } from "../store/store";
import { SoundControl } from "./sound-control";

function Impaired({ why }: { why: readonly string[] }) {
  const words = t.value;
  return (
    <div class="impaired" data-testid="banner-alerting" data-why={why.join(" ")}>
      <svg viewBox="0 0 24 24" width="26" height="26" aria-hidden="true">
        <path d="M6 17V11a6 6 0 0 1 12 0v6l2 2H4z M10 21h4 M3 3l18 18" />
      </svg>
      <strong>{judgingStopped(why) ? words.impairedJudging : words.impairedTelling}</strong>
      <span>{why.map((code) => word(words.impairedWhy, code)).join(" / ")}</span>
    </div>
  );
}

export function AlertingLine() {
  const words = t.value;
  const why = impaired.value;
  const known = heartbeat.value?.alerting != null;
  // What was well when the line broke is no news of now.
  const quiet = lost.value
    ? words.alertingLost
    : serverBehind.value
      ? words.alertingStarved
      : known
        ? words.alertingOk
        : words.alertingUnknown;
  const open = unanswered.value;
  return (
    <section class="alerting" aria-label={words.alertingLine}>
      <a class={`unanswered${open > 0 ? " unanswered-some" : ""}`} href="/alerts" data-testid="unanswered">
        {open > 0
          ? words.unansweredCount(open)
          : alertsKnown.value
            ? words.unansweredNone
            : words.unansweredUnknown}
      </a>
      <div class="alerting-word">
        {why.length === 0 && <span class="alerting-ok">{quiet}</span>}
        <div role="alert">{why.length > 0 && <Impaired why={why} />}</div>
      </div>
      <SoundControl />
    </section>
  );
}
