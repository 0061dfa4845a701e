import { render } from "preact";
import { keepDocument } from "./shell/document";
import { startSession } from "./store/session";
import { keepSounding } from "./store/sound";
import { wantedLang } from "./store/store";
import { speak } from "./ui/language";
import "./styles/base.css";
import "./styles/layout.css";
import "./styles/levels.css";
import "./styles/table.css";
import "./styles/panels.css";
import "./styles/alerts.css";
import "./styles/sound.css";
import { App } from "./shell/app";
import { letGo } from "./shell/let-go";
import { keepUpToDate } from "./shell/update";
import { followLinks } from "./ui/route";

letGo();
followLinks();
keepDocument();
startSession();
keepUpToDate();
void speak(wantedLang.peek()).then(() => {
  const root = document.getElementById("app");
  if (root) render(<App />, root);
  keepSounding();
});
