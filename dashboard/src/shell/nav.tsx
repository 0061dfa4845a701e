/** The views. On a phone the bar lies at the thumb. */
import { unanswered } from "../store/answers";
import { t } from "../store/store";
import { route } from "./route";

const VIEWS = [
  {
    view: "situation",
    href: "/",
    icon: "M3 17c3 0 3-3 6-3s3 3 6 3 3-3 6-3 M3 10c3 0 3-3 6-3s3 3 6 3 3-3 6-3",
  },
  { view: "alerts", href: "/alerts", icon: "M6 17V11a6 6 0 0 1 12 0v6l2 2H4z M10 21h4" },
  { view: "system", href: "/system", icon: "M3 12h4l3-8 4 16 3-8h4" },
] as const;

export function Nav() {
  const words = t.value;
  const now = route.value.view;
  const open = unanswered.value;
  return (
    <nav class="nav" aria-label={words.nav.label}>
      {VIEWS.map(({ view, href, icon }) => (
        <a
          key={view}
          href={href}
          aria-current={now === view ? "page" : undefined}
          data-testid={`nav-${view}`}
        >
          <svg viewBox="0 0 24 24" width="22" height="22" aria-hidden="true">
            <path d={icon} />
          </svg>
          {words.nav[view]}
          {view === "alerts" && open > 0 && (
            <strong class="nav-count">
              <span aria-hidden="true">{open}</span>
              <span class="sr">{words.unansweredCount(open)}</span>
            </strong>
          )}
        </a>
      ))}
    </nav>
  );
}
