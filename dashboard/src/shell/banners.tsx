/** What must be known before any number is read: no connection, a drill, a wrong clock. */
import { computed } from "@preact/signals";
import type { Notice } from "../api/types";
import { clockOrDay, clockSeconds } from "../domain/format";
import { pick } from "../i18n";
import { impaired } from "../store/answers";
import {
  clockOff,
  heartbeat,
  lang,
  levels,
  live,
  lost,
  now,
  quietByUs,
  recalled,
  serverBehind,
  site,
  t,
} from "../store/store";
import { wordsMissing } from "../ui/language";
import { Missing } from "../ui/part";
import { outdated } from "./update";

/** The levels as last received; seconds are told as the officer reads them out on the telephone. */
function lastKnown(): string | null {
  const asOf = levels.value?.as_of;
  if (!asOf) return null;
  // A heartbeat says until when nothing has changed that was not told.
  const heard = recalled.value ? Number.NaN : Date.parse(live.value.asOf ?? "");
  const ms = Math.max(Date.parse(asOf), Number.isNaN(heard) ? 0 : heard);
  const day = clockOrDay(ms, now.value);
  return day.length > 5 ? day : clockSeconds(ms).slice(0, 5);
}

function LostBanner() {
  const words = t.value;
  const time = lastKnown();
  // The server still speaks, and says that it cannot read: that is not this screen's line.
  const said = impaired.value.includes("database") ? words.lostDatabaseBanner : words.lostBanner;
  return (
    <div class="banner banner-lost" data-testid="banner-lost">
      <svg class="banner-mark" viewBox="0 0 24 24" width="28" height="28" aria-hidden="true">
        <path
          d="M4 4l16 16M9 5h6a4 4 0 0 1 0 8M9 19a4 4 0 0 1-4-4v-3"
          fill="none"
          stroke="currentColor"
          stroke-width="2.5"
          stroke-linecap="round"
        />
      </svg>
      <strong>{time ? said(time) : words.lostBannerNever}</strong>
      <span>
        {recalled.value && words.recalledHint} {words.lostHint}
      </span>
    </div>
  );
}

function ServerBehind() {
  const words = t.value;
  return (
    <div class="banner banner-behind" data-testid="banner-behind">
      <strong>{words.serverBehind(quietByUs.value)}</strong>
      <span>{words.serverBehindHint}</span>
    </div>
  );
}

/** More than this would leave no room for the levels: the rest is counted, and stands on the system's view. */
const MOST_NOTICES = 3;

/** An equal list draws nothing anew: a heartbeat comes every few seconds. */
const noticesKey = computed(() => JSON.stringify(heartbeat.value?.notices ?? []));
const notices = computed<readonly Notice[]>(() => JSON.parse(noticesKey.value));

function Notices() {
  const words = t.value;
  const found = notices.value;
  return (
    <>
      {found.slice(0, MOST_NOTICES).map((one) => (
        <div key={one.key} class="banner banner-hides" data-testid="banner-hides" data-kind={one.kind}>
          <strong>{pick(one.text, lang.value)}</strong>
          <span>{words.noticeSince(clockOrDay(Date.parse(one.since), now.value))}</span>
        </div>
      ))}
      {found.length > MOST_NOTICES && (
        <div class="banner banner-hides">
          <a href="/system">{words.moreNotices(found.length - MOST_NOTICES)}</a>
        </div>
      )}
    </>
  );
}

export function Banners() {
  const words = t.value;
  const { status = "actual", notice = null } = site.value ?? {};
  const off = Math.round(Math.abs(clockOff.value) / 1000);
  return (
    <>
      <section aria-label={words.notices}>
        {status === "exercise" && (
          <div class="banner banner-drill" data-testid="banner-drill">
            <strong>{words.drillFrame}</strong>
          </div>
        )}
        {status === "test" && (
          <div class="banner banner-test" data-testid="banner-test">
            <strong>{words.testFrame}</strong>
          </div>
        )}
        {notice && (
          <div class="banner banner-notice" data-testid="banner-notice">
            {pick(notice, lang.value)}
          </div>
        )}
        <Notices />
        {wordsMissing() && (
          <div class="banner banner-notice">
            <Missing />
          </div>
        )}
        {outdated.value && (
          <div class="banner banner-notice" data-testid="banner-version">
            {words.newVersion}
            <button type="button" class="answer" onClick={() => location.reload()}>
              {words.reload}
            </button>
          </div>
        )}
        {off > 0 && (
          <div class="banner banner-clock" data-testid="banner-clock">
            {words.clockWarning(off)}
          </div>
        )}
      </section>
      <div role="alert">
        {lost.value && <LostBanner />}
        {!lost.value && serverBehind.value && <ServerBehind />}
      </div>
    </>
  );
}
