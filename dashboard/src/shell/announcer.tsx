import { live, t } from "../store/store";
import { placeName, timeOf, title } from "../ui/alert-words";

/** Each read out once when it begins, rises or proves true while the page watches; never the history it starts with. */
export function Announcer() {
  const words = t.value;
  return (
    <div class="sr" role="log" aria-live="assertive" aria-relevant="additions" data-testid="announcer">
      {live.value.announced.map((alert) => {
        const text = words.alertAnnounce(placeName(alert), title(alert), timeOf(alert.started_at));
        const mark = alert.status === "exercise" ? words.drill : alert.status === "test" ? words.test : "";
        return (
          <p key={`${alert.id}/${alert.flood_level}/${alert.verified}`}>
            {mark}
            {alert.verified ? text : words.alertAnnounceDoubt(text)}
          </p>
        );
      })}
    </div>
  );
}
