/** The dialog of the alert that is opened; in a file of its own, asked for soon after the numbers. */
import { useEffect } from "preact/hooks";
import { opened } from "../store/answers";
import { lazy } from "../ui/lazy";
import { Missing } from "../ui/part";

/** By then numbers, map and chart are there, also on a thin line. */
const ASKED_AFTER_MS = 15_000;

const [Dialog, dialog] = lazy(
  () => import("./alert-dialog").then((file) => file.AlertDialog),
  (missing) => (
    <div role="alert">
      {missing && (
        <div class="banner banner-notice">
          <Missing />
        </div>
      )}
    </div>
  ),
);

export function OpenedDialog() {
  useEffect(() => {
    const timer = setTimeout(() => void dialog.ready(), ASKED_AFTER_MS);
    return () => clearTimeout(timer);
  }, []);
  const now = opened.value;
  return now && <Dialog key={now.id} id={now.id} listed={now.alert} />;
}
