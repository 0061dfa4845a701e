/** What the document itself says: its language, theme, states, the levels' colours, and its title. */
import { effect } from "@preact/signals";
import { pick } from "../i18n";
import { impaired } from "../store/answers";
import { lang, levelTable, lost, site, spoken, theme } from "../store/store";
import { route } from "../ui/route";

export function keepDocument(): void {
  effect(() => {
    const root = document.documentElement;
    root.lang = lang.value;
    root.dataset["theme"] = theme.value;
    root.dataset["status"] = site.value?.status ?? "actual";
    root.toggleAttribute("data-lost", lost.value);
    root.toggleAttribute("data-impaired", impaired.value.length > 0);
    root.toggleAttribute("data-wall", route.value.view === "wall");
  });

  effect(() => {
    const { style } = document.documentElement;
    for (const { level, colour, text_colour } of levelTable.value) {
      style.setProperty(`--lv${level}`, colour);
      style.setProperty(`--lt${level}`, text_colour);
    }
  });

  effect(() => {
    if (spoken.value === null) return;
    const { words } = spoken.value;
    const { status = "actual", name } = site.value ?? {};
    const mark = status === "exercise" ? words.drill : status === "test" ? words.test : "";
    const place = name ? `${pick(name, lang.value)} · ` : "";
    document.title = `${lost.value ? `⚠ ${words.lost} · ` : ""}${mark}${place}${words.productName}`;
  });
}
