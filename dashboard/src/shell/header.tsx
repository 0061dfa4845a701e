import { calendar, clockSeconds } from "../domain/format";
import { pick } from "../i18n";
import { connected, lang, now, site, t, theme } from "../store/store";
import { speak } from "../ui/language";
import { Nav } from "./nav";

function Clock() {
  const ms = now.value;
  return (
    <div class="clock" data-testid="clock" role="timer" aria-live="off">
      <span class="clock-day">{calendar(ms, lang.value)}</span>
      <time class="clock-time" dateTime={new Date(ms).toISOString()}>
        {clockSeconds(ms)}
      </time>
      <span class="clock-zone">JST</span>
    </div>
  );
}

function ConnectionState() {
  const words = t.value;
  const state = connected.value;
  const text = state === "live" ? words.live : state === "lost" ? words.lost : words.connecting;
  return (
    <span class="connection" data-state={state} data-testid="connection">
      <span class="connection-mark" aria-hidden="true" />
      {text}
    </span>
  );
}

function LangToggle() {
  const other = lang.value === "ja" ? "en" : "ja";
  return (
    <button
      type="button"
      class="tool"
      data-testid="lang-toggle"
      lang={other}
      aria-label={`${t.value.langToggle} – ${t.value.langToggleLabel}`}
      onClick={() => {
        void speak(other);
      }}
    >
      {t.value.langToggle}
    </button>
  );
}

function ThemeToggle() {
  const dark = theme.value === "dark";
  const label = dark ? t.value.themeToLight : t.value.themeToDark;
  return (
    <button
      type="button"
      class="tool tool-icon"
      data-testid="theme-toggle"
      aria-label={label}
      title={label}
      onClick={() => {
        theme.value = dark ? "light" : "dark";
      }}
    >
      <svg viewBox="0 0 24 24" width="20" height="20" aria-hidden="true">
        <circle cx="12" cy="12" r="8" fill="none" stroke="currentColor" stroke-width="2" />
        <path d="M12 4a8 8 0 0 1 0 16z" fill="currentColor" />
      </svg>
    </button>
  );
}

export function Header() {
  const words = t.value;
  const place = site.value ? pick(site.value.name, lang.value) : "";
  return (
    <header class="top">
      <h1 class="brand">
        <span class="brand-name">{words.productName}</span>
        {place && place !== words.productName && <span class="brand-site">{place}</span>}
        <span class="tag">{words.provisional}</span>
      </h1>
      <Nav />
      <ConnectionState />
      <Clock />
      <div class="tools">
        <LangToggle />
        <ThemeToggle />
      </div>
    </header>
  );
}
