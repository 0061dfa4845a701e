/** Every alert: what happened, who answered, what is still open. */
import { AlertPanel } from "./alert-panel";

export function AlertsView() {
  return (
    <main class="view view-alerts" id="view" tabIndex={-1} data-testid="alerts-view">
      <AlertPanel />
    </main>
  );
}
