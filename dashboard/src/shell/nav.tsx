/** The views. On a phone the bar lies at the thumb, and the map is a view of its own. */
import { unanswered } from "../store/answers";
import { t } from "../store/store";
import { phone } from "../ui/media";
import { mapOnPhone, query, route } from "../ui/route";

const ICONS = {
  situation: "M3 17c3 0 3-3 6-3s3 3 6 3 3-3 6-3 M3 10c3 0 3-3 6-3s3 3 6 3 3-3 6-3",
  map: "M3 6l6-2 6 2 6-2v14l-6 2-6-2-6 2z M9 4v14 M15 6v14",
  alerts: "M6 17V11a6 6 0 0 1 12 0v6l2 2H4z M10 21h4",
  system: "M3 12h4l3-8 4 16 3-8h4",
} as const;
type Tab = keyof typeof ICONS;
const TABS = Object.keys(ICONS) as readonly Tab[];

/** List and map show the same stations: on a phone the filter goes along from one to the other. */
function href(tab: Tab): string {
  if (tab === "alerts" || tab === "system") return `/${tab}`;
  const filter = new URLSearchParams(phone.value && route.value.view === "situation" ? query.value : "");
  filter.delete("map");
  if (tab === "map") filter.set("map", "1");
  return filter.size > 0 ? `/?${filter}` : "/";
}

export function Nav() {
  const words = t.value;
  const now = phone.value && mapOnPhone.value ? "map" : route.value.view;
  const open = unanswered.value;
  return (
    <nav class="nav" aria-label={words.nav.label}>
      {TABS.filter((view) => view !== "map" || phone.value).map((view) => (
        <a
          key={view}
          href={href(view)}
          aria-current={now === view ? "page" : undefined}
          data-testid={`nav-${view}`}
        >
          <svg viewBox="0 0 24 24" width="22" height="22" aria-hidden="true">
            <path d={ICONS[view]} />
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
