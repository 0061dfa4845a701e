import { actorKnown, actorName, forgetActor, tokenWanted } from "../store/answers";
import { t } from "../store/store";

/** Under whose name this device answers. */
export function ActingAs() {
  const words = t.value;
  if (!actorKnown.value) return null;
  return (
    <span class="panel-note acting" data-testid="acting-as">
      {tokenWanted.value ? words.actingAsToken : words.actingAs(actorName.value)}
      <button type="button" class="quiet-button" onClick={forgetActor}>
        {words.changeActor}
      </button>
    </span>
  );
}
