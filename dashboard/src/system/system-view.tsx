/** Is every part of the chain alive? */
import { t } from "../store/store";

export function SystemView() {
  return (
    <main class="view view-system" id="view" tabIndex={-1} data-testid="system-view">
      <h2>{t.value.nav.system}</h2>
    </main>
  );
}
